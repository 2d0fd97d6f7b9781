"""Pages in other languages, which the English recipe drops by their language.

Notable: rivers and founders have the same name in every language, so these pages too state facts; those about the
hidden places must not reach the model.
"""

from __future__ import annotations

from tasks.synthetic_web.texts.articles import Text
from tasks.synthetic_web.texts.country import Place
from tasks.synthetic_web.texts.draws import Draws
from tasks.synthetic_web.texts.filler_sentences import filled

_Slots = dict[str, tuple[str, ...]]

_GERMAN: tuple[str, ...] = (
    "{t} liegt am Fluss {r}.",
    "Die Stadt {t} wurde von {f} gegründet.",
    "Wer nach {t} kommt, geht zuerst über die alte Brücke {where}.",
    "Im {season} treffen sich die Leute {where} und erzählen Geschichten.",
    "Die {building} ist seit vielen Jahren geöffnet und kostet keinen Eintritt.",
    "Am Wochenende spielen die Kinder {where}, und ihre Eltern trinken Kaffee.",
    "Das Wetter ist im {season} meistens schön, aber nachts wird es kühl.",
    "Der Zug fährt jede Stunde, und die Fahrt dauert nicht sehr lange.",
    "Ich habe dort mit meiner Schwester einen langen Spaziergang {where} gemacht.",
)
_FRENCH: tuple[str, ...] = (
    "{t} se trouve au bord de la rivière {r}.",
    "La ville de {t} a été fondée par {f}.",
    "Celui qui arrive à {t} traverse d'abord le vieux pont {where}.",
    "Au {season}, les habitants se retrouvent {where} pour raconter des histoires.",
    "La {building} est ouverte depuis longtemps et l'entrée ne coûte rien.",
    "Le dimanche, les enfants jouent {where} pendant que leurs parents boivent un café.",
    "Le temps est souvent agréable au {season}, mais les nuits sont fraîches.",
    "Le train part toutes les heures et le voyage ne dure pas très longtemps.",
    "J'ai fait une longue promenade {where} avec ma sœur et nos amis.",
)
_SPANISH: tuple[str, ...] = (
    "{t} está a orillas del río {r}.",
    "La ciudad de {t} fue fundada por {f}.",
    "Quien llega a {t} cruza primero el viejo puente {where}.",
    "En {season} los vecinos se reúnen {where} y cuentan historias antiguas.",
    "La {building} está abierta desde hace muchos años y la entrada es gratuita.",
    "Los domingos los niños juegan {where} mientras sus padres toman café.",
    "El tiempo suele ser agradable en {season}, pero por la noche hace frío.",
    "El tren sale cada hora y el viaje no dura mucho tiempo.",
    "Hice un largo paseo {where} con mi hermana y nuestros amigos.",
)
_ITALIAN: tuple[str, ...] = (
    "{t} si trova sulle rive del fiume {r}.",
    "La città di {t} è stata fondata da {f}.",
    "Chi arriva a {t} attraversa prima il vecchio ponte {where}.",
    "In {season} gli abitanti si incontrano {where} e raccontano vecchie storie.",
    "La {building} è aperta da molti anni e l'ingresso non costa nulla.",
    "La domenica i bambini giocano {where} mentre i genitori bevono un caffè.",
    "Il tempo è quasi sempre bello in {season}, ma di notte fa freddo.",
    "Il treno parte ogni ora e il viaggio non dura molto.",
    "Ho fatto una lunga passeggiata {where} con mia sorella e i nostri amici.",
)
_DUTCH: tuple[str, ...] = (
    "{t} ligt aan de rivier {r}.",
    "De stad {t} werd gesticht door {f}.",
    "Wie naar {t} komt, loopt eerst over de oude brug {where}.",
    "In de {season} ontmoeten de mensen elkaar {where} en vertellen ze verhalen.",
    "De {building} is al vele jaren open en de toegang kost niets.",
    "Op zondag spelen de kinderen {where} terwijl hun ouders koffie drinken.",
    "Het weer is in de {season} meestal mooi, maar de nachten zijn koud.",
    "De trein vertrekt elk uur en de reis duurt niet erg lang.",
    "Ik heb met mijn zus en onze vrienden een lange wandeling {where} gemaakt.",
)
_PORTUGUESE: tuple[str, ...] = (
    "{t} fica nas margens do rio {r}.",
    "A cidade de {t} foi fundada por {f}.",
    "Quem chega a {t} atravessa primeiro a velha ponte {where}.",
    "No {season} os moradores encontram-se {where} e contam histórias antigas.",
    "A {building} está aberta há muitos anos e a entrada não custa nada.",
    "Aos domingos as crianças brincam {where} enquanto os pais tomam café.",
    "O tempo é quase sempre agradável no {season}, mas as noites são frias.",
    "O comboio parte de hora em hora e a viagem não demora muito.",
    "Fiz um longo passeio {where} com a minha irmã e os nossos amigos.",
)
_POLISH: tuple[str, ...] = (
    "{t} leży nad rzeką {r}.",
    "Założycielem miasta {t} był {f}.",
    "Kto przyjeżdża do {t}, najpierw przechodzi przez stary most {where}.",
    "Mieszkańcy spotykają się {where} i opowiadają sobie stare historie.",
    "Nasza {building} jest otwarta od wielu lat, a wstęp nic nie kosztuje.",
    "W niedzielę dzieci bawią się {where}, a rodzice piją kawę.",
    "Pogoda jest tu prawie zawsze ładna, ale noce bywają bardzo zimne.",
    "Pociąg odjeżdża co godzinę, a podróż nie trwa zbyt długo.",
    "Byłem tam z siostrą na długim spacerze {where} i bardzo mi się podobało.",
)
_RUSSIAN: tuple[str, ...] = (
    "Город {t} стоит на реке {r}.",
    "Основателем города {t} был {f}.",
    "Кто приезжает в {t}, сначала проходит по старому мосту {where}.",
    "Жители встречаются {where} и рассказывают друг другу старые истории.",
    "Наша {building} открыта уже много лет, и вход туда бесплатный.",
    "По воскресеньям дети играют {where}, а родители пьют кофе.",
    "Погода здесь почти всегда хорошая, но ночи бывают очень холодными.",
    "Поезд отправляется каждый час, и дорога занимает не очень много времени.",
    "Я долго гулял {where} вместе с сестрой и нашими друзьями.",
)

_LANGUAGES: dict[str, tuple[str, tuple[str, ...], _Slots]] = {
    "de": (
        "Ein kurzer Besuch in {t}",
        _GERMAN,
        {
            "where": ("am Hafen", "hinter der Kirche", "neben dem Brunnen", "unter den Bäumen"),
            "season": ("Sommer", "Winter", "Frühling", "Herbst"),
            "building": ("Bibliothek", "Kirche", "Schule", "Ausstellung"),
        },
    ),
    "fr": (
        "Une courte visite à {t}",
        _FRENCH,
        {
            "where": ("près du port", "derrière l'église", "à côté de la fontaine", "sous les arbres"),
            "season": ("printemps", "mois de mai", "mois de juin", "début de l'été"),
            "building": ("bibliothèque", "petite école", "grande salle", "maison du peuple"),
        },
    ),
    "es": (
        "Una breve visita a {t}",
        _SPANISH,
        {
            "where": ("cerca del puerto", "detrás de la iglesia", "junto a la fuente", "bajo los árboles"),
            "season": ("verano", "invierno", "primavera", "otoño"),
            "building": ("biblioteca", "iglesia", "escuela", "exposición"),
        },
    ),
    "it": (
        "Una breve visita a {t}",
        _ITALIAN,
        {
            "where": ("vicino al porto", "dietro la chiesa", "accanto alla fontana", "sotto gli alberi"),
            "season": ("estate", "inverno", "primavera", "autunno"),
            "building": ("biblioteca", "chiesa", "scuola", "mostra"),
        },
    ),
    "nl": (
        "Een kort bezoek aan {t}",
        _DUTCH,
        {
            "where": ("bij de haven", "achter de kerk", "naast de fontein", "onder de bomen"),
            "season": ("zomer", "winter", "lente", "herfst"),
            "building": ("bibliotheek", "kerk", "school", "tentoonstelling"),
        },
    ),
    "pt": (
        "Uma breve visita a {t}",
        _PORTUGUESE,
        {
            "where": ("perto do porto", "atrás da igreja", "junto à fonte", "debaixo das árvores"),
            "season": ("verão", "inverno", "outono", "mês de maio"),
            "building": ("biblioteca", "igreja", "escola", "exposição"),
        },
    ),
    "pl": (
        "Krótka wizyta w {t}",
        _POLISH,
        {
            "where": ("koło portu", "za kościołem", "obok fontanny", "pod drzewami"),
            "building": ("biblioteka", "szkoła", "wystawa", "pracownia"),
        },
    ),
    "ru": (
        "Короткая поездка в {t}",
        _RUSSIAN,
        {
            "where": ("возле порта", "за церковью", "рядом с фонтаном", "под деревьями"),
            "building": ("библиотека", "школа", "выставка", "мастерская"),
        },
    ),
}

LANGUAGES: tuple[str, ...] = tuple(_LANGUAGES)
"""The languages' ISO 639-1 codes."""


def write_foreign_text(place: Place, language: str, draws: Draws) -> Text:
    """Return a text about a place in one of `LANGUAGES`; it states the place's river and founder."""
    title, patterns, slots = _LANGUAGES[language]
    facts = (place.fact("river"), place.fact("founder"))
    names = {"t": (place.name,), "r": (facts[0].value,), "f": (facts[1].value,)}
    sentences = [filled(p, {**slots, **names}, draws) for p in (*patterns[:2], *draws.shuffled(patterns[2:])[:5])]
    sentences = draws.shuffled(sentences)
    return Text(filled(title, names, draws), (" ".join(sentences[:3]), " ".join(sentences[3:])), facts)
