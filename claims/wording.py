"""Words for every reason, for adjusters and for claimants, each in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping

# code: (Chinese, English). {value}, {threshold} and {detail} are the reason's own, as `claims.reason_values` reads
# them; what stands in [brackets] is left out where there is nothing to say, of an erased claim for instance.
REASONS: Mapping[str, tuple[str, str]] = {
    # contract
    "peril_not_covered": (
        "申报的事故[“{value}”]不在保障范围内[（保障范围：{threshold}）]",
        "the event[ “{value}”] is not covered[ (covered: {threshold})]",
    ),
    "cover_not_begun": (
        "事故发生[于 {value}，]早于保险起期[ {threshold}]",
        "the event[ on {value}] was before the cover began[ on {threshold}]",
    ),
    "cover_ended": (
        "事故发生[于 {value}，]晚于保险止期[ {threshold}]",
        "the event[ on {value}] was after the cover ended[ on {threshold}]",
    ),
    "waiting_period_not_over": (
        "事故发生[于 {value}，]仍在等待期内[（等待期 {detail}[，自 {threshold}起承担保险责任]）]",
        "the event[ on {value}] fell in the waiting period[ of {detail}][; cover for it starts on {threshold}]",
    ),
    "claimed_too_late": (
        "[事故发生 {value}后才]申请理赔，超过申请期限[（{threshold}以内）]",
        "the claim was made[ {value} after the event,] too late[ (at most {threshold})]",
    ),
    "limit_exhausted": ("保险金额[ {threshold} ]已用尽", "the sum insured[ of {threshold}] is used up"),
    "days_exhausted": (
        "本保险期间的住院给付天数已用完[（共 {threshold}）]",
        "the days of hospital stay that this cover pays for are used up[ (in all {threshold})]",
    ),
    "hospital_excluded": (
        "就诊医院不在保障范围，其费用不予赔付[（{value}）]",
        "the hospital is excluded from the cover: its bill is not paid[ ({value})]",
    ),
    "below_deductible": (
        "可赔损失[ {value} ]未超过免赔额[ {threshold}]，无应付金额",
        "the loss that counts[, {value},] does not exceed the deductible[ of {threshold}]: nothing is due",
    ),
    # suspicion
    "photo_of_another_claim": (
        "照片与他人理赔案件的照片相同或系其编辑件[（{value}）]",
        "the photo is a copy of a photo in another claimant's claim[ ({value})]",
    ),
    "photo_from_web": ("照片来自网络[（{value}）]", "the photo is a copy of a picture from the web[ ({value})]"),
    "photo_from_stock": ("照片来自图库[（{value}）]", "the photo is a copy of a stock picture[ ({value})]"),
    "photo_of_own_earlier_claim": (
        "照片已在本人先前的理赔中使用[（{value}）]",
        "the photo was used in an earlier claim of the same claimant[ ({value})]",
    ),
    "photo_in_flood": (
        "同一图片短时间内出现在多件理赔中，等待统一裁定[（编号 {value}）]",
        "one picture suddenly appears in many claims; this claim waits for the ruling on all of them[ (flood {value})]",
    ),
    "photo_copy_unattributed": (
        "照片被判定为复制件[（{value}）]，来源未能确定",
        "the photo was found to be a copy[ ({value})] of a picture that could not be named",
    ),
    "paper_claimed_before": (
        "单据号码已在其他[ {value} 件]理赔中出现",
        "the paper's number appears in other claims[: {value}]",
    ),
    "nose_of_another_pet": (
        "鼻纹与投保宠物不符[（{value}[；相似度须不低于 {threshold}]）]",
        "the nose is not the insured pet's[ ({value}[; needs a similarity of at least {threshold}])]",
    ),
    "pet_not_insured": (
        "比对的宠物[（{value}）]不是保单上的宠物[（{threshold}）]",
        "the pet compared[ ({value})] is not the one insured[ ({threshold})]",
    ),
    "patient_is_not_insured": (
        "单据上的就诊人[“{value}”]不是被保险人[“{threshold}”]",
        "the patient on the paper[, “{value}”,] is not the insured[, “{threshold}”]",
    ),
    "owner_is_not_insured": (
        "单据上的宠主[“{value}”]不是被保险人[“{threshold}”]",
        "the owner on the paper[, “{value}”,] is not the insured[, “{threshold}”]",
    ),
    "buyer_is_not_insured": (
        "发票上的购买方[“{value}”]不是被保险人[“{threshold}”]",
        "the buyer on the invoice[, “{value}”,] is not the insured[, “{threshold}”]",
    ),
    "recipient_is_not_insured": (
        "单据上的收件人[“{value}”]不是被保险人[“{threshold}”]",
        "the recipient on the paper[, “{value}”,] is not the insured[, “{threshold}”]",
    ),
    "sender_is_not_insured": (
        "单据上的寄件人[“{value}”]不是被保险人[“{threshold}”]",
        "the sender on the paper[, “{value}”,] is not the insured[, “{threshold}”]",
    ),
    "order_of_another_claimant": (
        "同一订单已有其他申请人的理赔[：{value}]",
        "the same order was claimed for by another claimant[: {value}]",
    ),
    "claimant_under_two_ids": (
        "疑似同一人以另一编号申请过理赔[：姓名与{value}相同]",
        "the same person seems to have claimed under another id[: same name and same {value}]",
    ),
    "digits_look_edited": (
        "金额数字与周围印刷的细节不一致，疑似被改动[：{value}]",
        "the digits of an amount differ in their detail from the print around them[: {value}]",
    ),
    "device_shared": (
        "设备被多人使用[：{value}][（限 {threshold}）]",
        "shared device[: {value}][ (limit: {threshold})]",
    ),
    "payee_shared": (
        "收款账户被多人使用[：{value}][（限 {threshold}）]",
        "shared account[: {value}][ (limit: {threshold})]",
    ),
    "address_shared": (
        "地址被多人使用[：{value}][（限 {threshold}）]",
        "shared address[: {value}][ (limit: {threshold})]",
    ),
    "merchant_over_limit": (
        "同一商家的理赔过多[：{value}][（限 {threshold}）]",
        "many claims against one merchant[: {value}][ (limit: {threshold})]",
    ),
    "claimant_over_limit": (
        "同一申请人的理赔过多[：{value}][（限 {threshold}）]",
        "many claims of one claimant[: {value}][ (limit: {threshold})]",
    ),
    "photo_signs_combined": (
        "照片有多项互不相干的来源疑点[：{value}][（{detail}）]",
        "the photo shows several signs of its origin that no one cause explains[: {value}][ ({detail})]",
    ),
    # what to send
    "photos_missing": (
        "缺少损失照片[：已有 {value} 张][，需要 {threshold} 张]",
        "photos of the damage are missing[: {value} received][, {threshold} needed]",
    ),
    "paper_missing": (
        "缺少单据[：已有 {value} 份][，需要 {threshold} 份]",
        "a paper is missing[: {value} received][, {threshold} needed]",
    ),
    "paper_kind_missing": ("还缺一份单据[：{value}]", "one more paper is needed[: {value}]"),
    "nose_missing": ("缺少宠物鼻纹照片", "a close photo of the pet's nose is missing"),
    "photo_unreadable": (
        "照片无法查看，请重新提供[：{value}]",
        "a photo could not be examined, please send it again[: {value}]",
    ),
    "photo_of_another_thing": (
        "照片看起来不是投保的物品[（{value}）]",
        "the photo seems to show something else than what is insured[ ({value})]",
    ),
    "paper_unreadable": (
        "单据无法识别，请重新拍摄[：{value}]",
        "a paper could not be read, please photograph it again[: {value}]",
    ),
    "paper_of_other_kind": (
        "单据类型不符[：{value}][（需要{threshold}）]",
        "a paper of another kind was sent[: {value}][ (needed: {threshold})]",
    ),
    "paper_fields_missing": (
        "单据内容不全[，未能读到：{value}]，请拍全并拍清",
        "the paper does not show all that is needed[ (missing: {value})]; please photograph all of it, sharply",
    ),
    "paper_read_unsure": (
        "单据字迹不清[（识别可信度 {value}[，须不低于 {threshold}]）]，请重新拍摄",
        "the paper could not be read surely[ (confidence {value}[, at least {threshold} is needed])]; please photograph"
        " it again",
    ),
    "paper_doubtful": (
        "单据[上的{value}]读得不够清楚[（{detail}）]，请重新拍摄",
        "the paper could not be read surely[: {value}][ ({detail})]; please photograph it again",
    ),
    "nose_unreadable": (
        "鼻纹照片无法使用，请重新拍摄[：{value}]",
        "the nose photo cannot be used, please take another[: {value}]",
    ),
    # other doubts
    "items_do_not_sum": ("单据明细之和与合计不符[：{value}]", "the items do not sum to the total[: {value}]"),
    "capital_amount_differs": (
        "大写金额与小写金额不符[：{value}]",
        "the amount in words differs from the total[: {value}]",
    ),
    "insurance_and_cash_do_not_sum": (
        "医保支付与个人支付之和与合计不符[：{value}]",
        "insurance and cash do not sum to the total[: {value}]",
    ),
    "net_and_tax_do_not_sum": (
        "不含税金额与税额之和与价税合计不符[：{value}]",
        "net amount and tax do not sum to the total[: {value}]",
    ),
    "price_and_discount_do_not_fit": (
        "商品价格减优惠与实付金额不符[：{value}]",
        "the price less its discount is not what was paid[: {value}]",
    ),
    "stay_days_differ": (
        "住院天数与入院、出院日期不符[：{value}]",
        "the days of the stay do not match its dates[: {value}]",
    ),
    "paper_code_differs": (
        "单据上的二维码或条码与印刷内容不符[：{value}]",
        "the paper's code says something else than its print[: {value}]",
    ),
    "paper_text_layer_differs": (
        "电子单据的文字与其画面不符[：{value}]",
        "the text stored in the document differs from what it shows[: {value}]",
    ),
    "paper_check_failed": (
        "单据核对[“{value}”]未通过[：{detail}]",
        "the paper did not pass a check[, “{value}”][: {detail}]",
    ),
    "papers_contradict": (
        "同一案件的两份单据[，{detail}]不一致[：{value}]",
        "two papers of this claim show different things[ for {detail}][: {value}]",
    ),
    "paper_dates_out_of_order": (
        "日期先后不合理[（{detail}）][：{value}]",
        "dates are in the wrong order[ ({detail})][: {value}]",
    ),
    "order_number_differs": (
        "单据上的订单号[ {value} ]与申报的订单号[ {threshold} ]不同",
        "the order on the paper[, {value},] is not the one stated[, {threshold}]",
    ),
    "paper_not_accepted": (
        "单据需要人工确认[（{value}）]",
        "the paper has to be confirmed by a person[ ({value})]",
    ),
    "papers_disagree": (
        "同一单据两次拍摄的合计不同[：{value}]",
        "two pictures of one paper show different totals[: {value}]",
    ),
    "paper_date_implausible": ("单据日期不合理[：{value}]", "the paper's date is not plausible[: {value}]"),
    "paper_date_outside_cover": (
        "单据日期[ {value}[（{detail}）]]不在保障期间[（{threshold}）]",
        "the paper's date[ ({detail})][, {value},] is outside the cover[ ({threshold})]",
    ),
    "photo_maybe_copied": (
        "照片可能与另一张图片相同或系其编辑件，须人工比对[（{value}）]",
        "the photo may be a copy of another picture; a person compares the two[ ({value})]",
    ),
    "photo_older_than_event": (
        "照片拍摄时间早于事故[ {value}][（至多可早 {threshold}）]",
        "the photo was taken[ {value}] before the event[ (at most {threshold} may lie between)]",
    ),
    "event_after_claim": (
        "申报的事故时间[ {value} ]晚于申请时间[ {threshold}]",
        "the event is said to be[ at {value},] after the claim was made[ at {threshold}]",
    ),
    "nose_unsure": (
        "鼻纹比对结果不确定[（{value}[；须{threshold}]）]",
        "the nose is neither surely the pet's nor surely another's[ ({value}[; needs {threshold}])]",
    ),
    "nose_enrolment_missing": ("没有可比对的宠物鼻纹档案", "there is no enrolled nose to compare with"),
    "same_event_claimed_before": (
        "同一申请人已就同一事故申请过理赔[（{value}）]，须避免重复赔付",
        "the claimant has claimed for the same event before[ ({value})]; it must not be paid twice",
    ),
    "order_claimed_before": (
        "同一订单已申请过理赔[：{value}]，须避免重复赔付",
        "the same order was claimed for before[: {value}]; it must not be paid twice",
    ),
    "order_value_paid": (
        "同一订单已赔付[ {value}]，已达其价值[ {threshold}]",
        "what was paid for the same order[, {value},] reaches its value[ of {threshold}]",
    ),
    "cover_recorded_after_event": (
        "保单登记时间[（{value}）]晚于申报的事故时间[（{threshold}）]",
        "the cover was recorded[ at {value},] after the event[ at {threshold}]",
    ),
    "cover_changed_after_event": (
        "保障内容扩大的时间[（{value}）]晚于申报的事故时间[（{threshold}）]",
        "the cover was widened[ at {value},] after the event[ at {threshold}]",
    ),
    "photo_unmeasured": ("照片无法检验[：{value}]", "a photo could not be examined[: {value}]"),
    "photo_sign_unmeasured": (
        "照片来源检查[“{value}”]未能完成[：{detail}]",
        "the check of the photo's origin[ “{value}”] could not be finished[: {detail}]",
    ),
    "paper_unmeasured": ("单据无法检验[：{value}]", "a paper could not be examined[: {value}]"),
    "nose_unmeasured": ("鼻纹无法检验[：{value}]", "the nose could not be examined[: {value}]"),
    "fraud_unmeasured": ("风险统计未能完成[：{value}]", "the counts against fraud could not be made[: {value}]"),
    "could_not_check": (
        "自动核验[在“{value}”环节]反复出错[（{detail}）]，转人工处理",
        "automatic checking failed[ at “{value}”] again and again[ ({detail})]; a person takes over",
    ),
    "asked_enough": (
        "已[ {value} 次]请申请人补充材料，转人工处理",
        "the claimant was asked[ {value} times] already; a person takes over",
    ),
    "benefit_unknown": ("无法计算应付金额[：{value}]", "the amount due could not be calculated[: {value}]"),
    "policy_does_not_fit": ("案件与保单不匹配", "claim and policy do not fit"),
    "currency_differs": (
        "币种不一致[：{value}][（应为 {threshold}）]",
        "amounts are in other currencies[: {value}][ (should be {threshold})]",
    ),
    "insured_value_missing": ("保单未载明保险价值", "the policy states no insured value"),
    "low_credit_many_claims": (
        "信用分偏低且近期理赔频繁[（{value}[；须{threshold}]）]",
        "a low credit score together with many recent claims[ ({value}[; needs {threshold}])]",
    ),
    "above_auto_pay": (
        "应付金额[ {value} ]超过自动赔付上限[ {threshold}]",
        "the amount due[, {value},] is above the automatic ceiling[ of {threshold}]",
    ),
    # in order
    "cover_in_force": (
        "事故发生[于 {value}，]在保障期间内[（{threshold}）]",
        "the event[ on {value}] is within the cover[ ({threshold})]",
    ),
    "photo_unseen": ("照片未在图库中出现过", "the photo was not seen before"),
    "photo_beside_the_claim": (
        "一张照片看起来是别的物品，其余照片已足够[（{value}）]",
        "one photo seems to show something else; the others are enough[ ({value})]",
    ),
    "photo_similar": ("有相似照片，但没有复制的证据", "similar photos exist, with no proof of a copy"),
    "photo_of_withdrawn_claim": (
        "照片曾用于本人就同一事故提交并已撤回的申请，该申请未获赔付",
        "the photo was in the claimant's own claim about the same event, which was withdrawn and paid nothing",
    ),
    "photo_shows_common": (
        "照片与其他图片仅在众人常拍的部分相同[（{value}）]",
        "the photo shares with another picture only what everybody photographs[ ({value})]",
    ),
    "photo_is_common": (
        "这张图片人人都有，不能证明损失，不计入照片数",
        "everybody has this very picture: it proves no damage and is not counted as a photo",
    ),
    "photo_copy_rejected": (
        "人工已认定这两张照片并非复制关系[（{value}）]",
        "a person found that these two photos are no copies of each other[ ({value})]",
    ),
    "photo_sign_noted": (
        "照片来源提示[“{value}”][（{detail}）]，单独不作为依据",
        "noted of the photo's origin[: {value}][ ({detail})]; by itself this decides nothing",
    ),
    "photo_set_aside": (
        "一张照片无法检验，其余照片已足够[：{value}]",
        "one photo could not be examined and was not needed[: {value}]",
    ),
    "paper_in_order": (
        "单据清晰且前后一致[（可信度 {value}[，须不低于 {threshold}]）]",
        "the paper is legible and consistent[ (confidence {value}[, at least {threshold} is needed])]",
    ),
    "paper_set_aside": ("一份单据未被采用，其余单据已足够", "one paper was not used; the others are enough"),
    "name_shown_masked": (
        "单据上的姓名有遮盖[（{value}）]，露出的部分与被保险人一致",
        "the name on the paper hides letters[ ({value})]; what it shows fits the insured",
    ),
    "hospital_designated": (
        "就诊医院[“{value}”]为约定医院",
        "the hospital[, “{value}”,] is on the insurer's list",
    ),
    "hospital_undesignated": (
        "就诊医院[“{value}”]不在约定医院名单，按较低比例赔付",
        "the hospital[, “{value}”,] is not on the insurer's list: a lower share is paid",
    ),
    "paper_of_excluded_hospital": (
        "就诊医院[“{value}”]不在保障范围，该单据不计入",
        "the hospital[, “{value}”,] is excluded from the cover: its bill is not counted",
    ),
    "nose_recognised": ("鼻纹与投保宠物一致[（{value}）]", "the nose is the insured pet's[ ({value})]"),
    "nose_set_aside": (
        "一张鼻纹照片未被采用，其余已足够[：{value}]",
        "one nose photo was not used; another is enough[: {value}]",
    ),
    "counts_in_order": ("各项风险统计均在限度内", "all counts against fraud are within their limits"),
    "credit_in_order": (
        "信用分[ {value} ]符合要求[（不低于 {threshold}）]",
        "the credit score[, {value},] is high enough[ (at least {threshold})]",
    ),
    "credit_low": (
        "信用分[ {value} ]偏低，仅降低自动赔付上限",
        "the credit score[, {value},] is low; by itself this only lowers the automatic ceiling",
    ),
    "credit_unscored": (
        "没有信用分[（{value}）]，自动赔付上限较低",
        "there is no credit score[ ({value})]; the automatic ceiling is lower",
    ),
    "within_auto_pay": (
        "应付金额[ {value} ]在自动赔付上限[ {threshold} ]之内",
        "the amount due[, {value},] is within the automatic ceiling[ of {threshold}]",
    ),
    # people
    "paid_more_already": (
        "已赔付金额[ {value} ]多于现核算的应付金额[ {threshold}]，是否追回由人工决定",
        "more was paid already[, {value},] than would be due now[, {threshold}]: a person decides about the rest",
    ),
    "claim_stopped": (
        "银行与账目不一致，核对前不再打款",
        "the bank and our books disagree about a payment: nothing more is paid until that is settled",
    ),
    "person_approved": ("人工审核通过[，赔付 {value}][。{detail}]", "approved by a person[: {value}][. {detail}]"),
    "person_refused": ("人工审核不予赔付[：{detail}]", "refused by a person[: {detail}]"),
    "person_asked": ("审核人员请您补充[：{detail}]", "the person deciding asks for more[: {detail}]"),
}

LOOKING: tuple[str, str] = (
    "您的申请需要人工核实，核实人员正在查看全部材料",
    "your claim needs a closer look; a person is going through everything you sent",
)
# Claimants read of their own file; of limits and scores they get the plain consequence.
CLAIMANT: Mapping[str, tuple[str, str]] = {
    "above_auto_pay": ("金额较大，需要人工确认", "the amount is large enough that a person confirms it"),
    "within_auto_pay": ("金额在自动赔付范围内", "the amount can be paid at once"),
    "low_credit_many_claims": LOOKING,
    "counts_in_order": ("申请信息核对无误", "the details of the claim are in order"),
    "credit_in_order": ("信用良好", "your standing is good"),
    "credit_low": (
        "本次自动赔付上限较低，不影响您应得的金额",
        "the automatic ceiling is lower; what is due to you is not",
    ),
    "paper_in_order": ("单据已读取，前后一致", "your paper was read and is consistent"),
    "nose_recognised": ("已确认是投保的宠物", "your pet was recognised"),
    "photo_of_another_thing": (
        "照片看起来不是投保的物品，请拍摄受损的物品本身后重新提供",
        "the photo seems to show something else than what is insured; please send one of the damaged goods themselves",
    ),
    "photo_beside_the_claim": ("照片已查看", "your photo was examined"),
    "photo_similar": ("照片已查看", "your photo was examined"),
    "photo_unseen": ("照片已查看", "your photo was examined"),
    "photo_sign_noted": ("照片已查看", "your photo was examined"),
    "photo_sign_unmeasured": LOOKING,
    "photo_of_withdrawn_claim": ("照片已查看", "your photo was examined"),
    "photo_shows_common": ("照片已查看", "your photo was examined"),
    "photo_copy_rejected": ("照片已查看", "your photo was examined"),
    "photo_is_common": (
        "这张图片不能证明损失，请提供您自己拍摄的照片",
        "this picture does not show your damage; please send a photo of your own",
    ),
    "same_event_claimed_before": (
        "您已就同一事故申请过理赔，工作人员会将两件一并核对",
        "you have claimed for the same event before; a person looks at both together",
    ),
    "order_claimed_before": (
        "您已就同一订单申请过理赔，工作人员会将两件一并核对",
        "you have claimed for the same order before; a person looks at both together",
    ),
    "order_value_paid": (
        "该订单的价值已赔付完毕，需要人工核对",
        "the value of this order was paid already; a person looks at it",
    ),
    "cover_recorded_after_event": LOOKING,
    "cover_changed_after_event": LOOKING,
    "could_not_check": LOOKING,
    "fraud_unmeasured": LOOKING,
    "photo_maybe_copied": LOOKING,
    "photo_older_than_event": LOOKING,
    "nose_unsure": ("鼻纹需要人工比对", "a person compares the pet's nose"),
    "paper_code_differs": LOOKING,
    "paper_text_layer_differs": LOOKING,
    "paper_check_failed": LOOKING,
    "paper_doubtful": (
        "单据[上的{value}]读得不够清楚，请在光线充足处平放重新拍摄",
        "your paper could not be read surely[: {value}]; please photograph it again, flat and in good light",
    ),
    "paper_not_accepted": (
        "单据由人工确认，无需您重新提交",
        "a person confirms your paper; you need not send anything",
    ),
    "paper_kind_missing": (
        "请补充单据[：{value}]，拍全并拍清",
        "please send one more paper[, {value},] all of it and sharp",
    ),
    "name_shown_masked": ("单据上的姓名与被保险人相符", "the name on the paper fits the insured"),
    "papers_contradict": (
        "两份单据[的{detail}]不一致，需要人工核对",
        "a person compares two of your papers[: {detail}]",
    ),
    "paper_dates_out_of_order": ("单据上的日期先后需要人工核对", "a person checks the order of the dates"),
    "order_number_differs": ("订单号需要人工核对", "a person checks the order number"),
    "net_and_tax_do_not_sum": ("发票税额需要人工核对", "a person checks the tax against the total"),
    "price_and_discount_do_not_fit": ("订单金额需要人工核对", "a person checks the amounts of the order"),
    "stay_days_differ": ("住院天数需要人工核对", "a person checks the days of the stay"),
    "items_do_not_sum": ("单据明细与合计需要人工核对", "a person checks the items against the total"),
    "capital_amount_differs": ("单据大小写金额需要人工核对", "a person checks the amount in words"),
}
