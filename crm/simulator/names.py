"""What realistic people are made of: names, companies, positions, remarks, tags. Data and nothing else."""

SURNAMES: tuple[tuple[str, str], ...] = tuple(
    (pair.split(":")[0], pair.split(":")[1])
    for pair in (
        "王:Wang 李:Li 张:Zhang 刘:Liu 陈:Chen 杨:Yang 赵:Zhao 黄:Huang 周:Zhou 吴:Wu 徐:Xu 孙:Sun "
        "胡:Hu 朱:Zhu 高:Gao 林:Lin 何:He 郭:Guo 马:Ma 罗:Luo 梁:Liang 宋:Song 郑:Zheng 谢:Xie 韩:Han "
        "唐:Tang 冯:Feng 于:Yu 董:Dong 萧:Xiao 程:Cheng 曹:Cao 袁:Yuan 邓:Deng 许:Xu 傅:Fu 沈:Shen "
        "曾:Zeng 彭:Peng 吕:Lv 苏:Su 卢:Lu 蒋:Jiang 蔡:Cai 贾:Jia 丁:Ding 魏:Wei 薛:Xue 叶:Ye 阎:Yan "
        "余:Yu 潘:Pan 杜:Du 戴:Dai 夏:Xia 钟:Zhong 汪:Wang 田:Tian 任:Ren 姜:Jiang 范:Fan 方:Fang "
        "石:Shi 姚:Yao 谭:Tan 廖:Liao 邹:Zou 熊:Xiong 金:Jin 陆:Lu 郝:Hao 孔:Kong 欧阳:OuYang "
        "司马:SiMa"
    ).split()
)

GIVEN: tuple[tuple[str, str], ...] = tuple(
    (pair.split(":")[0], pair.split(":")[1])
    for pair in (
        "伟:Wei 芳:Fang 娜:Na 敏:Min 静:Jing 丽:Li 强:Qiang 磊:Lei 军:Jun 洋:Yang 勇:Yong 艳:Yan "
        "杰:Jie 娟:Juan 涛:Tao 明:Ming 超:Chao 霞:Xia 平:Ping 刚:Gang 梅:Mei 建国:JianGuo "
        "建华:JianHua 志强:ZhiQiang 秀英:XiuYing 桂兰:GuiLan 晓燕:XiaoYan 海燕:HaiYan 雪梅:XueMei "
        "美玲:MeiLing 文博:WenBo 子轩:ZiXuan 浩然:HaoRan 宇航:YuHang 梓涵:ZiHan 欣怡:XinYi "
        "诗涵:ShiHan 雨桐:YuTong 思远:SiYuan 嘉怡:JiaYi 俊杰:JunJie 晨曦:ChenXi 佳琪:JiaQi "
        "天宇:TianYu 一鸣:YiMing 若曦:RuoXi 立新:LiXin 国强:GuoQiang 春燕:ChunYan 少华:ShaoHua "
        "永康:YongKang 婷婷:TingTing 丹丹:DanDan 慧敏:HuiMin 玉兰:YuLan 振宇:ZhenYu 向东:XiangDong "
        "卫东:WeiDong 红梅:HongMei 小龙:XiaoLong 大勇:DaYong 亦菲:YiFei 乐怡:LeYi 书瑶:ShuYao "
        "泽楷:ZeKai 正豪:ZhengHao 炳坤:BingKun 凤霞:FengXia 水生:ShuiSheng 长青:ChangQing 安琪:AnQi"
    ).split()
)

NICKNAMES = tuple(
    (
        "Amy Kevin 阳光 小鱼儿 Linda 北方的狼 Tony老师 静待花开 云淡风轻 Grace 大海 追风少年 糖糖 "
        "Jason 平安是福 一米阳光 豆豆妈 Vivian 知足常乐 老船长 Echo 采购小王 🌻向日葵 建材批发李姐 "
        "Jack🚀 半夏 风轻云淡 Coco 厚德载物 小太阳☀️"
    ).split()
)

PLACES = tuple(
    (
        "北京 上海 广州 深圳 杭州 苏州 南京 宁波 青岛 济南 成都 重庆 武汉 长沙 西安 郑州 合肥 厦门 "
        "福州 东莞 佛山 无锡 大连 沈阳 天津"
    ).split()
)
BRANDS = tuple(
    (
        "北方 恒通 华瑞 天成 金岳 盛达 远航 博纳 新宇 鼎盛 瑞丰 嘉禾 中合 宏源 顺泰 明德 启航 百川 "
        "立信 方圆 东升 和美 锐科 星辰 致远 同创 汇丰源 永兴 凯旋 联合 泰和 旭日 银河 佳美 正阳 千禾 "
        "德邦 蓝海 海纳 科莱"
    ).split()
)
TRADES = tuple(
    (
        "精密机械 电子科技 纺织 食品 包装材料 建材 物流 医疗器械 信息技术 贸易 汽车零部件 化工 家居 "
        "环保科技 农业 教育咨询 广告传媒 餐饮管理 新能源 智能装备"
    ).split()
)
SUFFIXES = ("有限公司", "有限公司", "有限公司", "股份有限公司", "集团有限公司")

POSITIONS = tuple(
    (
        "采购经理 采购专员 总经理 副总经理 销售总监 运营主管 财务经理 行政主管 技术总监 项目经理 "
        "产品经理 供应链经理 店长 老板 合伙人 市场经理 人事经理 工程师 仓储主管 董事长助理"
    ).split()
)
EMPLOYEE_POSITIONS = tuple("客户经理 高级客户经理 销售顾问 大客户经理 售前顾问 客户成功经理 渠道经理".split())

DESCRIPTIONS = (
    "展会认识，关注交期",
    "老客户转介绍，价格敏感",
    "每季度采购一次，月底前联系",
    "需要样品，等技术确认",
    "合同已到期，正在谈续约",
    "对竞品报价不满意",
    "负责华东区采购，决策人是总经理",
    "喜欢喝茶，适合下午拜访",
    "去年成交 3 单，回款及时",
    "第一次合作，先小批量试用",
    "发票抬头需确认\n收货地址：开发区二号路 18 号",
    "预算在 20–30 万之间 & 要求 <两周> 内到货",
)

CHANNELS = tuple(
    ("expo-2025 官网-首页 门店A 门店B 公众号菜单 朋友圈广告 老客推荐 短信-0618 直播间 展会-杭州").split()
)

TAG_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("客户等级", ("重要客户", "普通客户", "潜在客户", "沉睡客户")),
    ("行业", ("制造", "零售", "餐饮", "教育", "医疗", "物流")),
    ("意向", ("高意向", "观望", "已报价", "已签约", "流失")),
    ("来源", ("展会", "转介绍", "官网", "广告")),
    ("地区", ("华东", "华南", "华北", "西南")),
)
# The groups a new DingTalk organisation has.
LABEL_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("类型", ("客户", "渠道商", "供应商", "合作伙伴", "其他类型")),
    ("级别", ("一般", "重要", "核心")),
    ("状态", ("潜在", "意向", "洽谈", "成交", "流失")),
    ("招聘状态", ("待面试", "已录用", "已淘汰")),
)
OWN_TAGS: tuple[tuple[str, str], ...] = (
    ("", "爱喝茶"),
    ("", "老乡"),
    ("我的", "周五回访"),
    ("我的", "好说话"),
    ("", "要发票"),
)

DEPARTMENTS: tuple[tuple[int, str, int], ...] = (
    (2, "销售中心", 1),
    (3, "市场部", 1),
    (4, "客户成功部", 1),
    (5, "华东销售部", 2),
    (6, "华南销售部", 2),
    (7, "华北销售部", 2),
    (8, "大客户组", 5),
)

MEMBER_TAGS: tuple[str, ...] = ("主管", "轮值", "外派")
