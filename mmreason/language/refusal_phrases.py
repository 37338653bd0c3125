"""How other languages than English say that there is no answer: their usual phrases.

A phrase counts in the first sentence only. Two kinds are kept apart: what is said of the matter
("is not shown", "unclear") counts whoever it is about: "the woman's name is not mentioned". What is
said of oneself ("do not know", "cannot see") does not where a person stands before it, who may well
not have seen something: "他没有看到车" is an answer. Neither counts in what somebody says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalPhrases:
    """Of one language, as patterns.

    Scripts whose vowels are marks on letters (Hindi, Bengali) have no word boundaries that Python
    knows: their patterns stand without.
    """

    of_matter: str
    """Not shown, not said, unclear, no information: whatever stands before it."""
    of_oneself: str
    """I do not know, cannot see, cannot answer: not where a person stands before it."""
    persons: str
    """Who may not know or see something."""
    telling: str
    """Verbs with which somebody says or thinks something."""


_GERMAN = RefusalPhrases(
    of_matter=(
        r"\bnicht (?:\w+ )?(?:gezeigt|zu (?:sehen|erkennen|bestimmen|beantworten|entnehmen)"
        r"|sichtbar|erkennbar|angegeben|genannt|erwähnt|bekannt|klar|ersichtlich|vorhanden"
        r"|enthalten|bestimmbar|feststellbar|gesagt|beantwort\w+|möglich|verfügbar|eindeutig)\b"
        r"|\bkeine? (?:\w+ )?(?:angaben?|information(?:en)?|ahnung|antwort|hinweise?)\b"
        r"|\b(?:video|clip)\b.* (?:zeigt|liefert|nennt|enthält|sagt|gibt)\b.*\b(?:nicht|kein\w*)\b"
        r"|\b(?:zeigt|liefert|nennt|enthält) das video\b.*\b(?:nicht|kein\w*)\b"
        r"|\bgeht\b.* nicht\b.* hervor\b|\b(?:lässt|kann) (?:es |das )?(?:sich|man)\b.*\bnicht\b"
        r"|\b(?:video|clip) kommt kein\w*\b.* vor\b|\bes (?:gibt|ist|sind) keine?n? (?!zeit\b)"
        r"|\bwird (?:\w+ )?nichts (?:gesagt|gezeigt|erwähnt)\b|\bman sieht (?:es |das )?nicht\W*$"
        r"|(?:^\W*|\b(?:ist|sind|bleibt) )(?:unklar|unbekannt)\W*$"
    ),
    of_oneself=(
        r"\bweiß (?:ich|es)\b.*\bnicht\b|\bkann ich\b.*\bnicht\b|\bich bin (?:mir )?nicht sicher\b"
        r"|\bich (?:weiß|kann|sehe|erkenne)\b.*\b(?:nicht|kein\w*)\b"
    ),
    persons=r"\b(?:er|sie|mann|frau|junge|mädchen|kind|jemand|niemand)\b",
    telling=r"\b(?:sagt|sagte|meint|denkt|glaubt|fragt|erklärt)\b",
)
_FRENCH = RefusalPhrases(
    of_matter=(
        r"\bpas (?:\w+ )?(?:montrée?s?|visibles?|mentionnée?s?|précisée?s?|indiquée?s?|clair"
        r"|spécifiée?s?|dans la vidéo|possible|connue?|dite?|disponible)\b"
        r"|\bnon (?:précis|spécifi|mentionn|montr|visible|indiqu|disponible|renseign)\w*"
        r"|\baucune (?:information|réponse|indication)\b|(?:^\W*|\b(?:est|reste) )inconnue?s?\W*$"
        r"|\b(?:vidéo|clip) n(?:e |['’])(?:l[ea] )?(?:permet|montre|précise|mentionne"
        r"|fournit|dit|contient|donne|indique)"
        r"|\bil n'y a (?:pas (?!de (?:temps|quoi))|aucun)|\bimpossible (?:à|de) \w+"
        r"|\bon ne (?:\w+ )?(?:voit|sait|peut) pas\b"
    ),
    of_oneself=r"\bje ne (?:sais|peux|vois|suis pas)\b|\bje n'ai pas\b",
    persons=r"\b(?:il (?!n'y)|elle|homme|femme|garçon|fille|personne)\b",
    telling=r"\b(?:dit|pense|demande|répond)\b(?! pas)",
)
_SPANISH = RefusalPhrases(
    of_matter=(
        r"\bno se (?:muestra|ve|menciona|especifica|indica|sabe|puede|aprecia|proporciona|dice)\b"
        r"|\bno (?:está|queda) (?:claro|visible|especificad|indicad)|\bno (?:hay (?!tiempo)"
        r"|es visible|es posible|especificad\w|mostrad\w|mencionad\w|disponible)"
        r"|\b(?:v[ií]deo|clip) no\b|\bsin información\W*$|\b(?:es )?imposible \w+"
        r"|(?:^\W*|\b(?:es|sigue siendo) )desconocid[oa]s?\W*$"
    ),
    of_oneself=(
        r"\bno (?:aparece|lo sé|puedo|sé|veo|estoy segur[oa])\b"
        r"|\bno tengo (?:\w+ )?(?:información|datos|certeza|idea)\b"
    ),
    persons=r"\b(?:él|ella|hombre|mujer|niñ[oa]|chic[oa])\b",
    telling=r"\b(?:dice|dijo|piensa|cree|pregunta)\b",
)
_PORTUGUESE = RefusalPhrases(
    of_matter=(
        r"\bnão (?:(?:é|está|foi|são|fica) )?(?:mostrad|visível|especificad|mencionad|clar|possível"
        r"|informad|disponível|identificad|fornecid|consta)\w*|\bnão (?:há (?!tempo)"
        r"|se sabe|dá para)\b"
        r"|\bnão há (?!tempo)|\bvídeo não\b|\bsem informaç\w+\W*$|\bimpossível \w+"
        r"|(?:^\W*|\b(?:é|são) )desconhecid[oa]s?\W*$"
    ),
    of_oneself=r"\bnão (?:tenho certeza|aparece|sei|consigo|posso|vejo)\b",
    persons=r"\b(?:ele|ela|homem|mulher|menin[oa]|rapaz|moça)\b",
    telling=r"\b(?:diz|disse|pensa|acha|pergunta)\b",
)
_ITALIAN = RefusalPhrases(
    of_matter=(
        r"\bnon (?:(?:è|viene|sono) )?(?:mostrat|specificat|menzionat|visibil|chiar|indicat"
        r"|disponibil|possibil)\w*|\bnon (?:si (?:vede|sa|può)|c'è|ci sono)\b|\bvideo non\b"
        r"|(?:^\W*|\bè )sconosciut[oa]\W*$"
    ),
    of_oneself=r"\bnon (?:lo so|so|posso|vedo)\b",
    persons=r"\b(?:lui|lei|uomo|donna|ragazz[oa]|bambin[oa])\b",
    telling=r"\b(?:dice|disse|pensa|crede|chiede)\b",
)
_DUTCH = RefusalPhrases(
    of_matter=(
        r"\bniet (?:getoond|zichtbaar|vermeld|te zien|duidelijk|bekend|gespecificeerd)\b"
        r"|(?:^\W*|\bis )onbekend\W*$"
    ),
    of_oneself=r"\bik (?:weet|kan|zie)\b.*\bniet\b",
    persons=r"\b(?:hij|zij|man|vrouw|jongen|meisje)\b",
    telling=r"\b(?:zegt|denkt|vraagt)\b",
)
_RUSSIAN = RefusalPhrases(
    of_matter=(
        r"\bне (?:показан|указан|видно|виден|видна|упомин|упомянут|известн|ясно|понятно|сказано"
        r"|говорится|определ|уточня|представлен)\w*|\bнет (?:\w+ )?(?:информации|данных|ответа)\b"
        r"|\bневозможно\b|\bнедостаточно (?:информации|данных)\b|\bне уда[её]тся\b"
        r"|\b(?:определить нельзя|нельзя определить)\b|^\W*(?:неизвестно|неясно)\b"
        r"|\bвидео (?:это |этого |об этом )?не (?:показ|содерж|дает|даёт|говор|видно)"
    ),
    of_oneself=r"\bне (?:могу|знаю|вижу|увере\w+)\b",
    persons=r"\b(?:он|она|мужчина|женщина|мальчик|девочка|парень|девушка)\b",
    telling=r"\b(?:говорит|сказал|сказала|думает|спрашивает)\b",
)
_CHINESE = RefusalPhrases(
    of_matter=(
        r"[没沒]有?(?:显示|顯示|提到|提及|说明|說明|展示|给出|提供|明确|足够|相关|信息)"
        r"|未(?:显示|顯示|提及|提到|说明|展示|提供|指明)|(?:信息|資訊)不足"
        r"|[无無]法(?:从\S{1,8})?(?:确定|確定|判断|得知|看出|看清|分辨|识别|辨认|判斷)"
        r"|看不(?:出|清)|不(?:详|詳|可见)"
        r"|^\W*(?:未知|[无無](?:答案|法)?)\W*$"
    ),
    of_oneself=r"[没沒]有?(?:出现|出現|看到|答案)|未出现|不(?:清楚|知道|确定|確定|明确)"
    r"|[无無]法(?:回答|看到|提供|帮助)|看不到|不能(?:回答|帮助)",
    persons=r"[他她]|(?:男|女)(?:人|孩|生|士)|孩子|有人",
    telling=r"[说說]|认为|認為|觉得",
)
_JAPANESE = RefusalPhrases(
    of_matter=(
        r"(?:映|写|示さ|表示さ|言及さ|見られ|記載さ|描か|触れられ)\S{0,4}(?:ない|ません|いない)"
        r"|^\W*(?:不明(?:です|瞭\S*)?|情報なし|該当なし)\W*$|はっきりし(?:ない|ません)"
        r"|情報が不足|説明されてい?(?:ない|ません)|情報(?:が|は)(?:ない|あり)"
        r"|登場し(?:ない|ません|ていま?せ?ん?)"
        r"|(?:判断|確認|特定)(?:は)?でき(?:ない|ません)|明らか(?:では|じゃ)(?:ない|ありません)"
    ),
    of_oneself=r"[わ分]か(?:りません|らない)|見え(?:ません|て?い?ない(?=\W*$|です|ので|ため))|答えられ(?:ない|ません)|お答えでき|お手伝いでき",
    persons=r"彼|(?:男|女)(?:人|の|性|は|が)|少[年女]|子供",
    telling=r"(?:言|話|思)(?:う|っ|い)",
)
_KOREAN = RefusalPhrases(
    of_matter=(
        r"(?:보이|나오|나타나|표시되|언급되|명확하|제공하|제공되|보여주)지\s?(?:않|못)"
        r"|나와\s?있지\s?않|(?:확인되|확실하|명시되(?:어\s?있)?)지\s?않"
        r"|(?:확인|판단|특정)할\s?수\s?없|정보가\s?(?:없|부족)|^\W*(?:불명|불분명|없음)"
    ),
    of_oneself=r"알\s?수\s?없|모르겠|(?:대답|답변|답)할\s?수\s?없|도와드릴\s?수\s?없",
    persons=r"그[는녀가]|남자|여자|소년|소녀|아이",
    telling=r"말(?:한|했)|생각",
)
_ARABIC = RefusalPhrases(
    of_matter=(
        r"غير (?:مذكور|ظاهر|معروف|واضح|مرئي|محدد|موجود|متاح|متوفر|معروض|موضح)\w*|ليس واضح"
        r"|لا (?:يظهر|يوجد|تظهر|يمكن|يذكر|توجد|تتوفر|يتضح|يُظهر|يعرض|يوضح|يقدم)"
        r"|لم (?:يظهر|يذكر|يُذكر|تظهر|يتم (?:ذكر|عرض|تحديد)|يُعرض|يعرض)"
    ),
    of_oneself=r"لست متأكد|لا (?:أعرف|أعلم|أستطيع|يمكنني|أرى)",
    persons=r"(?:^|\s)(?:هو|هي|الرجل|المرأة|الولد|الفتاة|الطفل)(?:\s|$)",
    telling=r"(?:^|\s)(?:قال|قالت|يقول|تقول|يعتقد|تعتقد)(?:\s|$)",
)
_HINDI = RefusalPhrases(
    of_matter=(
        "(?:दिखाया|दिखाई|बताया|ज्ञात|उल्लेख|स्पष्ट|जानकारी|उपलब्ध|निर्धारित) ?(?:नहीं|नही)"
        "|नहीं (?:दिखा|बता|दिख|कहा जा|किया जा)|(?:वीडियो).{0,40}नहीं (?:देता|दिखाता|बताता)"
        "|कोई जानकारी नहीं|^\\W*अज्ञात"
    ),
    of_oneself=(
        "पता ?(?:नहीं|नही)|नहीं (?:पता|बता सक|जानता|जानती|कह सक)|मदद नहीं कर सक"
        "|(?:उत्तर|जवाब) नहीं दे|(?:यकीन|निश्चित) नहीं"
    ),
    persons="लड़क|आदमी|औरत|महिला|पुरुष|व्यक्ति|बच्च|उसे|उसने|उसको|(?:^|\\s)(?:वह|वे)\\s",
    telling="(?:कहत|कहा कि|बोल|सोचत)",
)
_BENGALI = RefusalPhrases(
    of_matter=(
        "(?:দেখানো|উল্লেখ|বলা|প্রদর্শিত|নির্ধারণ|বোঝা|দেখা)(?: করা)?(?: ?হয়নি| হয় ?নি"
        "| নেই| যায় না"
        "| যাচ্ছে না)|(?:স্পষ্ট|পরিষ্কার|নির্দিষ্ট) (?:নয়|না)|তথ্য(?: ভিডিওতে"
        "| এখানে)? (?:নেই|নাই|দেয় না)"
        "|তথ্য দেওয়া হয়নি|সম্ভব নয়|^\\W*অজানা|জানা (?:নেই|যায় না)|উল্লেখ নেই"
    ),
    of_oneself=(
        "নিশ্চিত নই|জানি না|বলতে পার(?:ছি|ি|বো) না|উত্তর দিতে পার(?:ছি|ি) না|দেখতে পাচ্ছি না|সাহায্য করতে পার"
    ),
    persons="(?:^|\\s)(?:সে|তিনি|তার|তাকে)\\s|লোক|ছেলে|মেয়ে|মহিলা|পুরুষ|ব্যক্তি",
    telling="(?:বলে|বলেন|বলল|ভাবে) যে",
)
_URDU = RefusalPhrases(
    of_matter=(
        "نہیں (?:دکھایا|دکھائی|بتایا|کیا جا سک|کہا جا سک)|(?:واضح|موجود|دستیاب|ظاہر) نہیں"
        "|(?:ذکر|دکھائی|دکھایا) نہیں|(?:کوئی )?معلومات(?: ویڈیو میں)? نہیں|^\\W*(?:نامعلوم"
        "|غیر واضح)"
        "|تعین نہیں"
    ),
    of_oneself=(
        "معلوم نہیں|یقین نہیں|مجھے (?:نہیں|پتہ نہیں|علم نہیں)|نہیں (?:بتا سک|جانت|دیکھ سک|کہہ سک)"
        "|(?:جواب|مدد) نہیں"
    ),
    persons="(?:^|\\s)(?:وہ|اسے|اسکو|انہیں|اس (?:نے|کو))\\s|آدمی|عورت|لڑک|مرد|بچ",
    telling="کہت|کہا کہ|سوچت",
)
_INDONESIAN = RefusalPhrases(
    of_matter=(
        r"\btidak (?:ditampilkan|terlihat|jelas|dapat di\w+|bisa di\w+|disebutkan|diketahui"
        r"|tersedia"
        r"|ada (?:informasi|jawaban|keterangan|dalam (?:video|klip))|ditunjukkan|dijelaskan"
        r"|diperlihatkan|tampak|muncul)\b"
        r"|\b(?:video|klip)(?: ini| itu| tersebut)? tidak (?:me\w+)"
        r"|\btidak cukup informasi\b|\binformasi\b.* tidak (?:ada|tersedia)\b"
        r"|\btidak mungkin (?:di\w+|untuk)\b"
    ),
    of_oneself=r"\b(?:saya|aku|kami) (?:tidak|tak|belum) (?:tahu|bisa|dapat|melihat|yakin|mampu)\b"
    r"|^\W*tidak tahu\b",
    persons=r"\b(?:dia|ia|pria|wanita|anak|orang|perempuan|mereka)\b",
    telling=r"\b(?:bilang|mengatakan|berkata|pikir|bertanya)\b",
)
_TURKISH = RefusalPhrases(
    of_matter=(
        r"\b(?:göster|belirt|söylen|bahsed|veril|anlaşıl|belirlen|görün|bilin|açıklan|anıl"
        r")(?:il|in|l|a|e)?(?:m[iıuü]yor|memiş|mamış|medi|madı|mez|maz|emiyor|emez)\w*"
        r"|\b(?:belli|net|açık|belirgin|mevcut|mümkün) değil\b|\bbilgi (?:yok|bulunmuyor|verilm)\w*"
        r"|\b(?:videoda|klipte) yok\b|\byer almıyor\b|^\W*(?:bilinmiyor|belirsiz)\W*$"
        r"|\bvideo\b.* (?:göster|içer"
        r"|ver)m[iıuü]yor\b"
    ),
    of_oneself=(
        r"\bbilmiyorum\b|\b(?:cevap|yanıt)(?:la)?(?: ver)?(?:ya|e)m[iı]yorum\b"
        r"|\bemin değilim\b|\b(?:söyle|gör)(?:ye)?em[iı]yorum\b|\byardımcı olam\w+"
    ),
    persons=r"\b(?:kadın|adam|çocuk|kız|erkek|kişi)\b",
    telling=r"\b(?:söylüyor|söyledi|diyor|dedi|düşünüyor)\b",
)
LANGUAGES = {
    "Arabic": _ARABIC,
    "Bengali": _BENGALI,
    "Chinese": _CHINESE,
    "Dutch": _DUTCH,
    "French": _FRENCH,
    "German": _GERMAN,
    "Hindi": _HINDI,
    "Indonesian": _INDONESIAN,
    "Italian": _ITALIAN,
    "Japanese": _JAPANESE,
    "Korean": _KOREAN,
    "Portuguese": _PORTUGUESE,
    "Russian": _RUSSIAN,
    "Spanish": _SPANISH,
    "Turkish": _TURKISH,
    "Urdu": _URDU,
}


def _any_of(name: str) -> re.Pattern[str]:
    patterns = [getattr(phrases, name) for phrases in LANGUAGES.values()]
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


_OF_MATTER = _any_of("of_matter")
_OF_ONESELF = _any_of("of_oneself")
_PERSONS = _any_of("persons")
_TELLING = _any_of("telling")
_TOLD_AFTER = re.compile(
    r"[»\"”」』]\s*,?\s*(?:dit|sagt|dice|disse|diz|zegt|сказал|говорит|[说說])", re.IGNORECASE
)
"""Behind a phrase in quotes: somebody said it."""
_SORRY = re.compile(
    r"^\W*(?:es tut mir leid|tut mir leid|entschuldigung|leider|lo siento|lamentablemente|perdón"
    r"|(?:je suis )?désolée?|malheureusement|desculpe|sinto muito|infelizmente|mi dispiace"
    r"|purtroppo|helaas|sorry|извините|простите|к сожалению|很?抱歉|对不起|對不起|不好意思"
    r"|क्षमा करें|माफ़ (?:कीजिए|करें)|দুঃখিত|معذرت|معاف (?:کیجیے|کریں)|عذر(?:ًا|ا|اً)|آسف"
    r"|للأسف|maaf|mohon maaf"
    r"|üzgünüm|maalesef|申し訳(?:ありません|ございません)が?|すみません(?:が)?|残念ながら"
    r"|죄송(?:하지만|합니다만|합니다)|유감스럽게도)"
    r"\W*(?:(?:aber|pero|mais|mas|ma|но|但是?|لكن|ولكن|लेकिन|কিন্তু|لیکن|tetapi|tapi|ama)\b\W*)?",
    re.IGNORECASE,
)
_MOST_CHARACTERS = 400
"""Of a sentence that are looked at: whoever declines does so early, and a hostile text costs
little."""
_FIRST_SENTENCE = re.compile(
    r"[.!?;\n](?:\s|$)|[。！？；।۔؟]|,?\s(?:aber|mais|pero|mas|ma|но|tetapi|tapi|ama)\s"
)


_REASON = re.compile(
    r"\b(?:weil|denn|parce que|car|porque|perché|omdat|потому что|karena|sebab|çünkü)\b|因为|因為"
    r"|क्योंकि|কারণ|لأن|کیونکہ|から|ので|때문",
    re.IGNORECASE,
)
_OF_VIDEO = re.compile(
    r"vid[eé]o|vídeo|видео|clip|klip|film|bild|image|imagen|imagem|кадр|gambar|görüntü"
    r"|视频|影片|画面"
    r"|動画|映像|영상|화면|वीडियो|ভিডিও|فيديو|ویڈیو",
    re.IGNORECASE,
)
"""Whoever declines may give the video as the reason; another reason makes it an answer."""


def declines_in_other_language(text: str) -> bool:
    """Whether the first sentence declines to answer in a language that is not English.

    Example:
        >>> [declines_in_other_language(text) for text in ("Nicht gezeigt.", "Nicht rauchen")]
        [True, False]
    """
    text = _SORRY.sub("", text, count=1)
    end = _FIRST_SENTENCE.search(text)
    sentence = (text if end is None else text[: end.start()])[:_MOST_CHARACTERS]
    for phrases, is_of_oneself in ((_OF_MATTER, False), (_OF_ONESELF, True)):
        phrase = phrases.search(sentence)
        if phrase is None or _TOLD_AFTER.search(sentence, phrase.end()):
            continue
        reason = _REASON.search(sentence, phrase.end())
        if reason is not None and not _OF_VIDEO.search(sentence, reason.end()):
            continue
        if _TELLING.search(sentence, 0, phrase.start()):
            continue
        if not is_of_oneself or _PERSONS.search(sentence, 0, phrase.start()) is None:
            return True
    return False
