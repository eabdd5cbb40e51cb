"""Names for the invented provider's customers: several pools, so that they look like a region's and not like a list."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = _words(
    """
James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph Jessica
Thomas Sarah Charles Karen Daniel Nancy Matthew Lisa Anthony Betty Mark Sandra Steven Ashley Paul Kimberly Andrew Emily
Joshua Donna Kenneth Michelle Kevin Carol Brian Amanda George Melissa Timothy Deborah Ronald Stephanie Jason Rebecca
Edward Laura Jeffrey Sharon Ryan Cynthia Jacob Kathleen Gary Amy Nicholas Angela Eric Shirley Jonathan Brenda
Wyatt Loretta Earl Dreama Delbert Wanda Virgil Opal Clyde Ruby Ezra Hazel Silas June Levi Ada
Aaliyah Malik Imani Darius Ebony Terrence Latoya Andre Keisha Marcus
"""
)
LAST = _words(
    """
Smith Johnson Williams Brown Jones Davis Miller Wilson Moore Taylor Anderson Thomas Jackson White Harris Martin Thompson
Combs Caudill Hensley Mullins Slone Collins Adams Fugate Stacy Noble Ritchie Sizemore Napier Baker Turner Begley Feltner
Hatfield Blankenship Ratliff Coleman Justice Varney Stumbo Conley Prater Howard Bowling Callahan Boone Clay Whitaker
Schroeder Niehaus Wessels Brinkmann Huber Kruse Meier Vogel Kessler Rausch Tully Doyle Kearney Byrne O'Brien Sullivan
Washington Jefferson Booker Freeman Bell Greene Banks Coles
"""
)
OTHER_PEOPLE = (
    "José Hernández",
    "María Núñez",
    "Sofía Castañeda",
    "Andrés Peña",
    "Lucía Ibáñez",
    "Raúl Domínguez",
    "Nguyễn Thị Lan",
    "Trần Văn Minh",
    "Phạm Quang Huy",
    "Đặng Thu Hà",
    "Priya Venkataraman",
    "Arjun Mehta",
    "Lakshmi Iyer",
    "Sanjay Patel",
    "Chloë Lefèvre",
    "Zoë Brontë-Hall",
    "François Côté",
    "Émilie Gagné",
    "Søren Kjær",
    "Åsa Lindström",
    "Łukasz Wójcik",
    "Małgorzata Kowalczyk",
    "Zdeněk Dvořák",
    "Mehmet Öztürk",
    "Ayşe Çelik",
    "Fatima Al-Rashid",
    "Yusuf Haddad",
    "Chinedu Okafor",
    "Ngozi Adeyemi",
    "Kwame Boateng",
    "Hana Suzuki",
    "Kenji Tanaka",
    "Wei Zhang",
    "Mei-Ling Chen",
    "Min-jun Park",
    "Oksana Шевченко",
)
GERMAN_PEOPLE = (
    "Jörg Müller",
    "Katrin Schäfer",
    "Björn Weiß",
    "Ute Köhler",
    "Anneliese Groß",
    "Günther Jäger",
    "Birgit Böhm",
    "Matthias Krüger",
    "Silke Schröder",
    "Holger Strauß",
)
BUSINESS_HEADS = _words(
    """
Bluegrass Cumberland Ohio_Valley Kentucky_River Pine_Mountain Red_River Thoroughbred Cardinal Goldenrod Limestone
Old_Capitol Riverbend Stonewall Daniel_Boone Four_Corners Three_Forks Derby_City
Queen_City Tri-State Heartland Commonwealth
Main_Street Courthouse_Square Railroad_Street Mill_Creek Elkhorn Licking_Valley Green_River Salt_River Hickory Sycamore
Tulip_Poplar Coneflower Redbud Horseshoe Iron_Works Keeneland_Road Bourbon_County Wabash Great_Miami Scioto
"""
)
BUSINESS_TAILS = (
    "Dental",
    "Family Medicine",
    "Veterinary Clinic",
    "Pharmacy",
    "Credit Union",
    "Insurance",
    "Law Office",
    "Realty",
    "Hardware",
    "Lumber",
    "Feed & Seed",
    "Farm Supply",
    "Equine Hospital",
    "Stables",
    "Distillery",
    "Cooperage",
    "Brewing",
    "Bakery",
    "Diner",
    "Coffee Roasters",
    "Grocery",
    "Motors",
    "Tire & Auto",
    "Trucking",
    "Logistics",
    "Freight",
    "Machine Works",
    "Tool & Die",
    "Plastics",
    "Steel",
    "Paper",
    "Packaging",
    "Electric",
    "Plumbing",
    "Heating & Air",
    "Roofing",
    "Construction",
    "Engineering",
    "Accounting",
    "Title Company",
    "Printing",
    "Radio",
    "Theatre",
    "Inn",
    "Senior Living",
    "Child Care",
    "Fitness",
    "Orthopaedics",
    "Imaging",
    "Software",
)
PUBLIC_BODIES = (
    "{town} Public Library",
    "{town} Fire Department",
    "{town} Independent Schools",
    "{town} Water Works",
    "City of {town}",
    "{town} Regional Hospital",
    "{town} Community College",
    "{town} Airport Board",
)
GERMAN_FIRMS = (
    "Rheinwerk Automotive Kentucky",
    "Böhm & Söhne Getriebe",
    "Hanse Logistik Midwest",
    "Köhler Werkzeugbau US",
    "Süddeutsche Sensorik Ohio",
    "Weiß Verpackungen",
)
RESELLER = "Appalachian Connect"
STREETS = _words(
    """
Main Broadway Limestone Vine High Short Maple Walnut Chestnut Cedar Spring Mill Church Court Market Water Railroad Depot
College University Commerce Industrial Airport River Cumberland Winchester Versailles Harrodsburg Bardstown Dixie
"""
)
ENDINGS = ("St", "Ave", "Rd", "Ln", "Pike", "Way")
BUSINESS_LABELS = (
    "Main Office",
    "Warehouse",
    "Warehouse 2",
    "Front Desk",
    "Plant 1",
    "Plant 2",
    "Showroom",
    "Back Office",
    "Loading Dock",
    "Branch",
    "Clinic",
    "Server Room",
    "Annex",
    "Drive-Through",
    "Call Centre",
)
HOME_LABELS = ("Home", "House", "Farm", "Cabin", "Home Office", "Barn", "Mom's House")
