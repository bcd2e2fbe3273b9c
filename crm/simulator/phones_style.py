"""The style sheet of the phones page; inline, so that the page needs nothing but itself."""

STYLE = """
:root{--ink:#1f2329;--soft:#6b7280;--line:#e5e7eb;--ground:#f4f5f7;--paper:#fff;--accent:#07a35a;
  --chat:#ededed}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa1ab;--line:#33383f;--ground:#16181b;
  --paper:#212529;--accent:#2fbf77;--chat:#1a1d20}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
  font:15px/1.5 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
small{color:var(--soft);font-size:.8em;font-weight:400}
code{font-size:.75em;color:var(--soft);word-break:break-all}
header{background:var(--paper);border-bottom:1px solid var(--line);padding:12px 16px;position:sticky;
  top:0;z-index:1}
h1{font-size:1.15em;margin:0 0 8px}
h2{font-size:1.05em;margin:24px 0 10px}
nav{display:flex;gap:8px;flex-wrap:wrap}
nav a{padding:5px 12px;border:1px solid var(--line);border-radius:99px;color:inherit;text-decoration:none}
nav a.on{border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
.search{display:flex;gap:8px;margin-top:10px}
input[type=search]{flex:1;min-width:0;max-width:340px;padding:8px 10px;border:1px solid var(--line);
  border-radius:8px;font:inherit;background:var(--ground);color:inherit}
button{font:inherit;border:0;border-radius:8px;background:var(--accent);color:#fff;padding:8px 14px;
  cursor:pointer}
button small{color:inherit;opacity:.85}
button:focus-visible,a:focus-visible,input:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
main{max-width:1240px;margin:0 auto;padding:16px}
.figures{display:grid;grid-template-columns:repeat(4,1fr);gap:10px}
.figures div{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.figures b{display:block;font-size:1.35em;font-variant-numeric:tabular-nums}
.phones,.tasks{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:16px;
  align-items:start}
.phone{background:var(--paper);border:1px solid var(--line);border-radius:22px;overflow:hidden;
  box-shadow:0 2px 8px rgba(0,0,0,.06)}
.who{display:flex;gap:10px;padding:12px 14px;border-bottom:1px solid var(--line)}
.who img{border-radius:8px;flex:none}
.who div{min-width:0}
.who small,.who code{display:block;line-height:1.35}
.kind{margin-left:8px;font-size:.75em;padding:1px 7px;border-radius:99px;border:1px solid var(--line)}
.kind small{display:inline}
.kind.contact{border-color:var(--accent)}
.screen{background:var(--chat);padding:12px;max-height:480px;overflow:auto}
.write{display:flex;gap:8px;padding:10px 12px;border-top:1px solid var(--line)}
.write input{flex:1;min-width:0;padding:8px 10px;border:1px solid var(--line);border-radius:8px;font:inherit;
  background:var(--ground);color:inherit}
.row{margin-bottom:14px}
.meta{font-size:.72em;color:var(--soft);margin-bottom:3px}
.bubble{background:var(--paper);border-radius:4px 12px 12px 12px;padding:8px 12px;display:inline-block;
  max-width:100%;white-space:pre-wrap;overflow-wrap:anywhere}
.gone .bubble,.gone .card{opacity:.45;text-decoration:line-through}
.recalled{margin-left:6px;color:#d4380d}
.card{background:var(--paper);border-radius:10px;padding:12px 14px 0;margin-top:4px;overflow-wrap:anywhere}
.card h3{margin:0 0 4px;font-size:1em}
.card p{margin:0 0 8px;color:var(--soft);white-space:pre-wrap}
.card footer{border-top:1px solid var(--line);margin:8px -14px 0;padding:7px 14px;font-size:.78em;
  color:var(--soft)}
.card button:disabled{background:var(--line);color:var(--soft);cursor:default}
.emphasis{text-align:center;padding:6px 0 10px}
.emphasis b{display:block;font-size:1.5em;line-height:1.2}
.emphasis span{font-size:.8em;color:var(--soft)}
dl{display:grid;grid-template-columns:minmax(4em,auto) 1fr;gap:3px 12px;margin:0 0 4px;font-size:.92em}
dt{color:var(--soft)}
dd{margin:0}
.task{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:12px 14px}
.task p{margin:6px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.task button{display:block;margin-top:10px}
.code{display:flex;gap:14px;align-items:flex-start;min-width:0}
.code img{background:#fff;border-radius:6px;flex:none}
.code p{margin:2px 0}
.act{display:block;width:fit-content;margin-top:10px;border-radius:8px;background:var(--accent);color:#fff;
  padding:8px 14px;text-decoration:none}
.act small{color:inherit;opacity:.85}
.scan{max-width:480px}
.scan form{margin-top:16px}
.scan a{color:inherit}
.scan input{width:100%;padding:8px 10px;margin:12px 0;border:1px solid var(--line);border-radius:8px;font:inherit;
  background:var(--ground);color:inherit}
.nothing{color:var(--soft);text-align:center;padding:8px 0}
@media (max-width:700px){header{position:static}.figures{grid-template-columns:1fr 1fr}}
"""
