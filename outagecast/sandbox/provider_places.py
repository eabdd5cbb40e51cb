"""Where the invented provider is: towns with their rough positions, rings and spurs of fibre, one table each."""

from dataclasses import dataclass

EASTERN, CENTRAL = "America/New_York", "America/Chicago"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A town with a POP. `weight` is its share of the customers; `spur_of` names the town it hangs on, "" on a ring."""

    code: str
    town: str
    state: str
    latitude: float
    longitude: float
    zone: str
    weight: int
    area_code: str
    spur_of: str = ""


def _place(line: str) -> Place:
    code, town, state, latitude, longitude, zone, weight, area_code, spur_of = line.split("|")
    return Place(
        code=code,
        town=town,
        state=state,
        latitude=float(latitude),
        longitude=float(longitude),
        zone=EASTERN if zone == "E" else CENTRAL,
        weight=int(weight),
        area_code=area_code,
        spur_of=spur_of,
    )


PLACES: tuple[Place, ...] = tuple(
    _place(line)
    for line in """\
LEX|Lexington|KY|38.0406|-84.5037|E|24|859|
LOU|Louisville|KY|38.2527|-85.7585|E|26|502|
CIN|Cincinnati|OH|39.1031|-84.5120|E|22|513|
FRA|Frankfort|KY|38.2009|-84.8733|E|8|502|
GEO|Georgetown|KY|38.2098|-84.5588|E|6|859|
COV|Covington|KY|39.0837|-84.5086|E|9|859|
FLO|Florence|KY|38.9989|-84.6266|E|6|859|
RIC|Richmond|KY|37.7479|-84.2947|E|7|859|
WIN|Winchester|KY|37.9901|-84.1797|E|5|859|
MTS|Mount Sterling|KY|38.0565|-83.9433|E|4|859|
DAN|Danville|KY|37.6456|-84.7722|E|5|859|
BER|Berea|KY|37.5687|-84.2963|E|4|859|
LON|London|KY|37.1290|-84.0833|E|5|606|
COR|Corbin|KY|36.9487|-84.0969|E|4|606|
SOM|Somerset|KY|37.0920|-84.6041|E|5|606|
MOR|Morehead|KY|38.1840|-83.4327|E|4|606|
ASH|Ashland|KY|38.4784|-82.6379|E|6|606|
POR|Portsmouth|OH|38.7317|-82.9977|E|4|740|
MAY|Maysville|KY|38.6412|-83.7444|E|3|606|
ELI|Elizabethtown|KY|37.6940|-85.8591|E|6|270|
BAR|Bardstown|KY|37.8092|-85.4669|E|4|502|
SHE|Shelbyville|KY|38.2120|-85.2236|E|3|502|
NAL|New Albany|IN|38.2856|-85.8241|E|5|812|
MAD|Madison|IN|38.7359|-85.3800|E|3|812|
COL|Columbus|IN|39.2014|-85.9214|E|4|812|
BLO|Bloomington|IN|39.1653|-86.5264|E|6|812|
HAM|Hamilton|OH|39.3995|-84.5613|E|5|513|
DAY|Dayton|OH|39.7589|-84.1916|E|7|937|
BOW|Bowling Green|KY|36.9685|-86.4808|C|7|270|
OWE|Owensboro|KY|37.7719|-87.1112|C|6|270|
EVA|Evansville|IN|37.9716|-87.5711|C|7|812|
HEN|Henderson|KY|37.8362|-87.5900|C|3|270|
MDV|Madisonville|KY|37.3281|-87.4989|C|3|270|
HOP|Hopkinsville|KY|36.8656|-87.4886|C|4|270|
PAD|Paducah|KY|37.0834|-88.6001|C|5|270|
HAZ|Hazard|KY|37.2495|-83.1932|E|13|606|LON
PIK|Pikeville|KY|37.4793|-82.5188|E|4|606|HAZ
MID|Middlesboro|KY|36.6084|-83.7166|E|3|606|COR
CYN|Cynthiana|KY|38.3903|-84.2941|E|3|859|GEO
MUR|Murray|KY|36.6103|-88.3148|C|3|270|PAD
""".splitlines()
)

RINGS: tuple[tuple[str, ...], ...] = (
    ("LOU", "SHE", "FRA", "GEO", "FLO", "COV", "CIN", "MAD", "NAL"),
    ("FRA", "LEX", "GEO"),
    ("LEX", "WIN", "RIC", "BER", "DAN"),
    ("BER", "LON", "COR", "SOM", "DAN"),
    ("WIN", "MTS", "MOR", "ASH", "POR", "MAY", "COV"),
    ("LOU", "ELI", "BAR"),
    ("ELI", "BOW", "HOP", "PAD", "MDV", "HEN", "EVA", "OWE"),
    ("NAL", "COL", "BLO"),
    ("CIN", "HAM", "DAY"),
)
GATEWAYS = ("LOU", "CIN")
BIG = ("LEX", "LOU", "CIN")
TOWERS: tuple[tuple[str, str, str], ...] = (
    ("HAZ", "Buffalo Mountain", "38"),
    ("PIK", "Bear Fork", "27"),
    ("MID", "Pinnacle Ridge", "22"),
    ("MOR", "Clack Mountain", "24"),
    ("MAY", "Jersey Ridge", "18"),
    ("CYN", "Oddville", "16"),
    ("MUR", "Coldwater", "20"),
    ("MDV", "Grapevine", "18"),
    ("SOM", "Pitman Creek", "21"),
    ("BAR", "Cox's Creek", "15"),
)
BERLIN = "Europe/Berlin"
GERMAN_TOWNS = ("Berlin", "Hamburg", "München", "Köln", "Stuttgart", "Nürnberg")
CARRIERS = (("CC-OVT-4471", "LON", "HAZ"), ("CC-OVT-4502", "ELI", "BOW"), ("CC-CUM-0093", "POR", "MAY"))
CARRIER_NAMES = {"OVT": "Ohio Valley Transport", "CUM": "Cumberland Carrier Services"}
