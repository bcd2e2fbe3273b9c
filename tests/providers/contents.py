"""One sound content of every type and card, as the provider tests send them."""

from crm.providers.attachments import (
    FileAttachment,
    ImageAttachment,
    LinkAttachment,
    MiniprogramAttachment,
    VideoAttachment,
)
from crm.providers.cards import (
    Button,
    CardAction,
    CardImage,
    Checkbox,
    CheckOption,
    Jump,
    Option,
    Row,
    Selection,
    SubmitButton,
    Title,
)
from crm.providers.content import (
    Article,
    Content,
    File,
    Image,
    Markdown,
    MiniprogramNotice,
    MpArticle,
    Mpnews,
    News,
    TemplateCard,
    Text,
    Textcard,
    Video,
    Voice,
)

APPID = "wx00000000000000aa"
URL = "https://crm.example/c/7"
TITLE = Title("跟进到期", "北方工厂")
NOTICE = MiniprogramNotice(
    appid=APPID,
    title="合同待确认",
    page="pages/order/view?id=7",
    description="请尽快处理",
    emphasis_first_item=True,
    content_item=(("客户", "北方工厂"), ("", ""), ("截止", "周五")),
)
CARDS = (
    TemplateCard(
        "text_notice",
        main_title=TITLE,
        horizontal_content_list=(Row("负责人", "小林", type=3, userid="lin"),),
        jump_list=(Jump("打开", type=1, url=URL),),
        card_action=CardAction(type=1, url=URL),
    ),
    TemplateCard(
        "news_notice",
        main_title=TITLE,
        card_image=CardImage("https://crm.example/p.png", 1.5),
        vertical_content_list=(TITLE,),
        card_action=CardAction(type=2, appid=APPID, pagepath="pages/a"),
        enable_id_trans=1,
    ),
    TemplateCard(
        "button_interaction", main_title=TITLE, task_id="t-1", button_list=(Button("好", style=1, key="k"),)
    ),
    TemplateCard(
        "vote_interaction",
        main_title=TITLE,
        task_id="t-2",
        checkbox=Checkbox("q", (CheckOption("1", "是", True), CheckOption("2", "否")), mode=1),
        submit_button=SubmitButton("提交", "s"),
    ),
    TemplateCard(
        "multiple_interaction",
        main_title=TITLE,
        task_id="t-3",
        select_list=(Selection("q", (Option("1", "一"),), title="选"),),
        submit_button=SubmitButton("提交", "s"),
    ),
)


def to_employees(media_id: str) -> list[Content]:
    return [
        Text("你好，报价单已发出 😀", enable_id_trans=1),
        Image(media_id, safe=1),
        Voice(media_id),
        Video(media_id, "参观", "工厂参观"),
        File(media_id, safe=1),
        Textcard("新线索", '<div class="gray">1月2日</div>', URL, "打开"),
        News((Article("价目表", "春季", URL), Article("小程序", appid=APPID, pagepath="pages/a"))),
        Mpnews((MpArticle("指南", media_id, "<p>…</p>", "销售", URL, "怎么做"),), safe=2),
        Markdown('**北方工厂**\n>负责人: <font color="info">小林</font>'),
        NOTICE,
        *CARDS,
    ]


def mass_text(media_id: str, content: str = "春季价目表已出") -> Text:
    return Text(
        content,
        attachments=(
            ImageAttachment(media_id),
            ImageAttachment(pic_url="https://crm.example/p.png"),
            LinkAttachment("价目表", URL, desc="春季"),
            MiniprogramAttachment("价目表", media_id, APPID, "pages/list"),
            VideoAttachment(media_id),
            FileAttachment(media_id),
        ),
    )
