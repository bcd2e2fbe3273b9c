// What Renmai's admin pages do in the browser. No inline script anywhere: pages say what they want in data attributes.
"use strict";
{
  const each = (selector, run) => document.querySelectorAll(selector).forEach(run);

  // A fragment that refreshes itself: data-live="address" data-live-ms="1000". The answer's data-live-done ends it.
  function live(box) {
    const wait = Number(box.dataset.liveMs) || 2000;
    async function refresh() {
      if (document.hidden) { setTimeout(refresh, wait); return; }
      try {
        const answer = await fetch(box.dataset.live, { headers: { "X-Requested-With": "fetch" } });
        if (answer.redirected || !answer.ok) return;
        const text = await answer.text();
        if (text !== box.dataset.liveLast) { box.innerHTML = text; box.dataset.liveLast = text; }
        if (box.querySelector("[data-live-done]")) return;
      } catch { /* the server is away: try again */ }
      setTimeout(refresh, wait);
    }
    if (!box.querySelector("[data-live-done]")) setTimeout(refresh, wait);
  }

  // The length of a field while one types, in the unit of its limit: data-limit="2048" data-unit="bytes".
  const bytes = new TextEncoder();
  const measures = {
    bytes: (text) => bytes.encode(text.replace(/\r?\n/g, "\n")).length,
    characters: (text) => [...text].length,
  };
  function count(input) {
    const limit = Number(input.dataset.limit);
    const shown = document.createElement("span");
    shown.className = "rm-count";
    shown.setAttribute("aria-live", "polite");
    const label = input.id && document.querySelector(`label[for="${CSS.escape(input.id)}"]`);
    (label || input).insertAdjacentElement(label ? "beforeend" : "afterend", shown);
    const update = () => {
      const length = measures[input.dataset.unit](input.value);
      shown.textContent = `${length} / ${limit}${input.dataset.unitName ? " " + input.dataset.unitName : ""}`;
      shown.classList.toggle("rm-count--over", length > limit);
    };
    input.addEventListener("input", update);
    update();
  }

  // The card that shows what a phone will show: inputs with data-shows="title" write into [data-shown="title"].
  function preview(form) {
    const card = document.querySelector("[data-preview]");
    if (!card) return;
    const update = () => {
      form.querySelectorAll("[data-shows]").forEach((input) => {
        const target = card.querySelector(`[data-shown="${input.dataset.shows}"]`);
        if (!target) return;
        target.textContent = input.value;
        target.hidden = !input.value && target.dataset.keep === undefined;
      });
      const list = card.querySelector("[data-shown-items]");
      if (!list) return;
      const big = form.querySelector("[name=emphasis_first_item]");
      const rows = [...form.querySelectorAll("[data-item]")].map((row) => [...row.querySelectorAll("input")].map((i) => i.value));
      list.replaceChildren(...rows.filter((pair) => pair.some(Boolean)).map((pair, n) => {
        const line = document.createElement("div");
        line.className = "rm-notice__item" + (n === 0 && big && big.checked ? " rm-notice__item--big" : "");
        pair.forEach((text) => line.appendChild(document.createElement("span")).append(text));
        return line;
      }));
    };
    form.addEventListener("input", update);
    form.addEventListener("change", update);
    update();
  }

  // One more row: data-add-row="#template" before it; data-most is the largest number of rows.
  function addRow(button) {
    button.addEventListener("click", () => {
      const rows = document.querySelectorAll("[data-item]");
      const copy = rows[rows.length - 1].cloneNode(true);
      copy.querySelectorAll("input").forEach((input) => {
        input.value = "";
        input.name = input.name.replace(/\d+/, rows.length);
        input.id = input.id.replace(/\d+/, rows.length);
      });
      rows[rows.length - 1].after(copy);
      copy.querySelector("input").focus();
      button.hidden = rows.length + 1 >= Number(button.dataset.most);
    });
    button.hidden = false;
  }

  // A date without typing: data-in-days="3" sets the form's date to nine in the morning, three days from now.
  function soon(button) {
    const input = button.form.querySelector("input[type=datetime-local]");
    const two = (number) => String(number).padStart(2, "0");
    button.addEventListener("click", () => {
      const day = new Date();
      day.setDate(day.getDate() + Number(button.dataset.inDays));
      input.value = `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}T09:00`;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    button.hidden = false;
  }

  // Enter in a line of a message goes to the next one: it also ends a word of a Chinese input method, and the form is
  // not done by then.
  function steps(form) {
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
      event.preventDefault();
      if (event.isComposing) return;
      const fields = [...form.querySelectorAll("input:not([type=hidden]), textarea, button[type=submit]")];
      fields[fields.indexOf(event.target) + 1]?.focus();
    });
  }

  // What unfold and select2 leave unnamed: the page's main part, and the box one types into to find a choice.
  function landmark() {
    (document.getElementById("content") || document.getElementById("page"))?.setAttribute("role", "main");
  }
  function nameSearch(input) {
    const field = input.closest(".select2-container")?.previousElementSibling;
    const label = field?.labels?.[0] || document.querySelector(".select2-container--open")?.previousElementSibling?.labels?.[0];
    if (label) input.setAttribute("aria-label", label.textContent.replace("*", "").trim());
  }

  function copies(button) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const before = button.textContent;
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = before; }, 1500);
    });
  }

  // The file that a form chooses or uploads: its name, and the picture it is, on the card of the phone.
  function file(input) {
    const card = document.querySelector("[data-preview]");
    const name = card?.querySelector("[data-shown-file]"), picture = card?.querySelector("[data-shown-picture]");
    if (!name) return;
    const update = () => {
      const fresh = input.form.querySelector("input[type=file][data-shows-file]").files[0];
      const kept = input.form.querySelector("select[data-shows-file]");
      name.textContent = fresh ? fresh.name : kept.value ? kept.selectedOptions[0].text : "–";
      if (!picture) return;
      URL.revokeObjectURL(picture.src);
      picture.hidden = !fresh && !kept.value;
      if (fresh) picture.src = URL.createObjectURL(fresh);
      else if (kept.value) picture.src = card.dataset.picture.replace("/0/", `/${kept.value}/`);
    };
    input.addEventListener("change", update);
    update();
  }

  // An attachment asks for what its kind has; empty ones wait behind the button that adds one.
  function attachment(box) {
    const kind = box.querySelector("select");
    const update = () => box.querySelectorAll("[data-for]").forEach((part) => { part.hidden = !part.dataset.for.split(" ").includes(kind.value); });
    kind.addEventListener("change", update);
    update();
    box.hidden = box.dataset.filled === undefined;
  }
  function addAttachment(button) {
    const hidden = () => document.querySelector("[data-attachment][hidden]");
    button.addEventListener("click", () => {
      const box = hidden();
      box.hidden = false;
      box.querySelector("select").focus();
      button.hidden = !hidden();
    });
    button.hidden = !hidden();
  }

  // A second click does nothing; the server would not send twice either.
  function once(form) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      form.querySelectorAll("button[type=submit]").forEach((button) => { button.setAttribute("aria-disabled", "true"); });
    });
    window.addEventListener("pageshow", () => {
      delete form.dataset.sent;
      form.querySelectorAll("button[type=submit]").forEach((button) => { button.removeAttribute("aria-disabled"); });
    });
  }

  // A page that waits for a worker: it loads again by itself unless somebody is typing in it.
  function reload(mark) {
    let typed = false;
    document.addEventListener("input", () => { typed = true; });
    setInterval(() => { if (!typed && !document.hidden) location.reload(); }, Number(mark.dataset.reloadMs));
  }

  // What unfold makes clickable with a script only, a keyboard reaches as well.
  function reachable(element) {
    if (element.matches("a[href], button, input, select, textarea, label, [tabindex]")) return;
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      element.click();
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    each("[x-on\\:click]", reachable);
    each("[data-reload-ms]", reload);
    each("[data-live]", live);
    each("[data-limit]", count);
    each("form[data-previews]", preview);
    each("[data-add-row]", addRow);
    each("[data-copy]", copies);
    each("form[data-once]", once);
    each("[data-shows-file]", file);
    each("[data-attachment]", attachment);
    each("[data-add-attachment]", addAttachment);
    each("[data-in-days]", soon);
    each("form[data-previews]", steps);
    landmark();
  });
  // select2 draws its boxes after everything has loaded
  window.addEventListener("load", () => setTimeout(() => each(".select2-search__field", nameSearch), 100));
  document.addEventListener("focusin", (event) => {
    if (event.target.matches(".select2-search__field")) nameSearch(event.target);
  });
}
