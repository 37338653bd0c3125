"""How other languages than English say that there is no answer: their usual phrases.

A phrase counts in the first sentence only, and not where a person stands before it, who may well
not have seen something: "他没有看到车" is an answer.
"""

from __future__ import annotations

import re

_FIRST_SENTENCE = re.compile(r"[.!?;\n](?:\s|$)|[。！？；]|,?\s(?:aber|mais|pero|mas|ma|но)\s")
_PERSON = re.compile(
    r"[他她]|彼|(?:男|女)(?:人|の)|그[는녀가]|남자|여자"
    r"|\b(?:er|sie|mann|frau|il (?!n'y)|elle|homme|femme|él|ella|hombre|mujer|ele|ela|homem|mulher"
    r"|lui|uomo|donna|он|она|мужчина|женщина|вот)\b",
    re.IGNORECASE,
)
_PHRASES = re.compile(
    "|".join(
        (
            # German
            r"\bnicht (?:\w+ )?(?:gezeigt|zu (?:sehen|erkennen)|sichtbar|erkennbar|angegeben"
            r"|genannt"
            r"|erwähnt|bekannt|klar|ersichtlich|vorhanden|enthalten|bestimmbar|feststellbar"
            r"|zu (?:bestimmen|beantworten)|gesagt|beantwort\w+)\b",
            r"\bkeine? (?:angaben?|informationen?|ahnung|antwort|hinweise?)\b"
            r"|\bweiß ich\b.*\bnicht\b|\bich (?:weiß"
            r"|kann)\b.*\bnicht\b"
            r"|\b(?:video|clip) zeigt\b.*\b(?:nicht|kein\w*)\b|\b(?:unklar|unbekannt)\W*$"
            r"|\bes (?:gibt|ist|sind) keine?\b",
            # French
            r"\bpas (?:\w+ )?(?:montrée?s?|visibles?|mentionnée?s?|précisée?s?|indiquée?s?|clair"
            r"|spécifiée?s?|dans la vidéo|possible|connue?)",
            r"\bnon (?:précis|spécifi|mentionn|montr|visible|indiqu|disponible|renseign)\w*"
            r"|\bje ne (?:sais|peux|vois)\b|\baucune (?:information|réponse|indication)\b"
            r"|\binconnue?\W*$"
            r"|\bvidéo ne (?:montre|précise|mentionne|fournit|dit|contient|donne)"
            r"|\bil n'y a (?:pas|aucun)",
            # Spanish
            r"\bno aparece\b|\bno se (?:muestra|ve|menciona|especifica|indica|sabe|puede|aprecia"
            r"|proporciona"
            r"|dice)\b"
            r"|\bno (?:está|queda) (?:claro|visible|especificad|indicad)|\bno (?:lo sé|hay"
            r"|es visible|especificad\w"
            r"|mostrad\w|mencionad\w|disponible|puedo)\b|\bv[ií]deo no\b|\b(?:desconocid[oa]"
            r"|sin información)\W*$",
            # Portuguese
            r"\bnão (?:(?:é|está|foi) )?(?:mostrad|visível|especificad|mencionad|clar|possível"
            r"|informad"
            r"|disponível|identificad)\w*|\bnão (?:aparece|sei|consigo|posso|há|se sabe)\b"
            r"|\bvídeo não\b"
            r"|\bdesconhecid[oa]\W*$",
            # Italian
            r"\bnon (?:(?:è|viene|sono) )?(?:mostrat|specificat|menzionat|visibil|chiar|indicat"
            r"|disponibil"
            r"|possibil)\w*|\bnon (?:lo so|si (?:vede|sa)|c'è|ci sono)\b|\bvideo non\b"
            r"|\bsconosciut[oa]\W*$",
            # Dutch
            r"\bniet (?:getoond|zichtbaar|vermeld|te zien|duidelijk|bekend|gespecificeerd)\b"
            r"|\bonbekend\W*$",
            # Russian
            r"\bне (?:показан|указан|видно|виден|видна|упомин|упомянут|известн|ясно|понятно|могу"
            r"|знаю|сказано"
            r"|определ|уточня)\w*|\bнет (?:информации|данных|ответа)\b|\bневозможно (?:определить"
            r"|сказать)\b"
            r"|^\W*(?:неизвестно|неясно)|\bвидео (?:это |этого )?не (?:показ|содерж|дает|даёт)",
            # Chinese
            r"[没沒]有?(?:显示|顯示|提到|提及|出现|出現|说明|說明|展示|看到|相关|信息|足够|给出|提供|答案|明确)"
            r"|未(?:显示|顯示|提及|提到|说明|知|出现|展示|提供|指明)|不(?:清楚|知道|确定|確定|明确|可见|詳|详)"
            r"|[无無]法(?:确定|確定|判断|得知|回答|看出|看到|辨认|判斷)|看不(?:到|出|清)|^\W*[无無](?:答案|法)?\W*$",
            # Japanese
            r"(?:映|写|示さ|表示さ|言及さ|見え|見られ|記載さ|描か|触れられ)\S{0,4}(?:ない|ません|いない)"
            r"|[わ分]か(?:りません|らない)|^\W*(?:不明|情報なし|該当なし)|情報(?:が|は)(?:ない|あり)"
            r"|(?:判断|確認|特定)(?:は)?でき(?:ない|ません)|答えられ(?:ない|ません)",
            # Korean
            r"(?:보이|나오|나타나|표시되|언급되|명확하|제공하|제공되|보여주)지\s?(?:않|못)|알\s?수\s?없|모르겠"
            r"|확인할\s?수\s?없|정보가\s?없|^\W*(?:불명|없음)",
            # Arabic
            r"غير (?:مذكور|ظاهر|معروف|واضح|مرئي|محدد|موجود|متاح|متوفر|معروض)\w*"
            r"|لا (?:أعرف|يظهر|يوجد|تظهر|يمكن|يذكر|توجد|أستطيع|تتوفر|يتضح|يُظهر|يعرض)|لم (?:يظهر"
            r"|يذكر|يُذكر|تظهر)",
            # Hindi
            "(?:दिखाया|दिखाई|बताया|पता|ज्ञात|उल्लेख|स्पष्ट|जानकारी|उपलब्ध) ?(?:नहीं|नही)"
            "|नहीं (?:दिखा|बता|पता|दिख)|^\\W*अज्ञात",
        )
    ),
    re.IGNORECASE,
)


def declines_in_other_language(text: str) -> bool:
    """Whether the first sentence declines to answer in a language that is not English."""
    end = _FIRST_SENTENCE.search(text)
    sentence = text if end is None else text[: end.start()]
    phrase = _PHRASES.search(sentence)
    return phrase is not None and _PERSON.search(sentence, 0, phrase.start()) is None
