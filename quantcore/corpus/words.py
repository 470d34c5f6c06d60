"""The vocabulary of the invented world, as plain lists."""

WOMEN = """Ada Agnes Alma Anna Astrid Beth Bertha Birgit Carla Celia Clara Cora Daisy Dora Edda
Edith
Ella Elsa Emma Erna Esther Eva Fanny Flora Frida Gerda Greta Hanna Hazel Hedda Helen Hilda Ida Ilse
Inga Irene Iris Ivy Jana Jill Joan Julia Karin Kate Lara Laura Lena Lily Lotta Lucy Lydia Mabel Maja
Mara Marta Mia Mina Molly Nancy Nell Nina Nora Olga Paula Petra Polly Rita Rosa Ruth Sally Selma
Sonja Stella Tilda Thea Una Vera Wanda Wilma Zoe""".split()

MEN = """Abel Adam Albert Alfred Anton Arne Axel Basil Ben Bruno Carl Cedric Clem Conrad Daniel
David
Dirk Edgar Edwin Emil Eric Ernst Felix Frank Fred Gabriel George Gideon Gustav Hans Harald Harry
Henry Hugo Igor Ivan Jack Jacob Jasper Joel John Jonas Josef Karl Kasper Knut Lars Leo Lewis Linus
Louis Lukas Magnus Martin Max Miles Moritz Nico Nils Noah Olaf Oscar Otto Paul Pedro Peter Philip
Ralph Robert Rolf Rufus Sam Samuel Simon Stefan Sven Theo Thomas Tim Tom Victor""".split()

RULERS = """Aldric Balder Casimir Dagmar Egbert Florian Godwin Hector Isolde Joris Kunigund Leopold
Matilda Nestor Ottilie Percival Quentin Roland Sigrid Tristan Ulrich Valentin Winifred Yolanda
Ambrose Benedict Cyprian Dorothea Eleanor Ferdinand""".split()

TOWN_STARTS = """Ash Bram Cold Dun Elm Fen Gold Hart Hol Kel Lind Mill Nor Oak Raven Stone Thorn Wal
West Win""".split()
TOWN_ENDS = """bury bridge dale field ford haven mere stead ton wick""".split()

LAND_STARTS = """Bal Cor Dar Est Gor Hel Ilm Kes Lun Mor Nar Osk Pel Ros Sar Tor Ulm Vas Wen
Zel""".split()
LAND_ENDS = """avia enia oria mark land""".split()

TRADES = """baker weaver miller smith potter tailor cobbler carpenter fisher gardener shepherd
painter
printer teacher doctor sailor hunter brewer butcher barber mason cooper saddler tinker glazier
beekeeper clockmaker goldsmith midwife ferryman postman farmer judge notary singer juggler cook maid
grocer watchman""".split()

PETS = """cat dog goat parrot rabbit hen goose donkey pony magpie turtle hedgehog ferret squirrel
pigeon canary lamb owl raven fox badger piglet mouse toad""".split()

INSTRUMENTS = """violin flute trumpet harp drum piano guitar accordion cello organ lute horn fiddle
oboe mandolin bagpipe""".split()

DISHES = """soup stew porridge pancakes dumplings noodles sausages pudding gingerbread cheesecake
omelette trout herring cabbage lentils mushrooms potatoes radishes waffles pretzels custard goulash
pie rice ham beans""".split()

MONTHS = """January February March April May June July August September October November
December""".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

COLOURS = "red blue green yellow white black brown grey purple orange pink silver".split()

BEASTS = """lion eagle bear wolf stag dragon swan horse bull salmon falcon boar dolphin unicorn
tiger crane ram otter cock snake""".split()

CROPS = """wheat barley rye oats maize hops flax clover grapes olives lemons cherries plums melons
pumpkins onions turnips carrots strawberries sunflowers""".split()

METALS = "gold silver copper tin iron bronze lead glass ivory wood clay nickel".split()

GOODS = """cheese honey candles carpets ropes barrels clocks knives lace paper soap salt wool silk
leather hats gloves umbrellas mirrors bells violins toys tiles bricks mustard vinegar tea tobacco
pottery baskets""".split()

THINGS = """ring coin key comb button thimble needle spoon fork cup plate whistle letter map book
candle ribbon scarf glove mitten sock shoe belt brooch necklace bracelet pearl pebble feather shell
acorn doll kite marble compass telescope brush pen stamp ticket rope hammer nail chisel file lock
chain medal egg bulb cork bottle locket spool watch""".split()

PLACES = """chest barrel basket drawer jar oven well boot hat cradle bucket sack teapot kettle trunk
cupboard wardrobe attic cellar barn stable shed chimney nest haystack cart boat clock lantern vase
flowerpot pillow suitcase purse crate tub churn cave pantry chapel tower""".split()

FRUITS = """apples pears plums nuts eggs figs peaches rolls cakes buns pies fish shells pebbles
marbles coins stamps tickets buttons beads feathers candles""".split()

NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen""".split()

MOODS = """happy sad proud tired hungry angry calm curious lonely merry nervous cheerful grumpy
sleepy thoughtful bored jealous grateful worried brave""".split()

PASTIMES = """read an old novel|wrote a long letter|mended a torn net|
played cards with the neighbours|
sang quietly by the fire|carved a little bird from wood|counted the stars|knitted a thick sweater|
polished the copper pans|baked bread for the morning|listened to the wind|fed the animals|
painted a picture of the sea|went to bed early|told ghost stories|danced in the kitchen|
watered the tomatoes|swept the stairs|argued about politics|learned a poem by heart|
drank a glass of cider|repaired the broken chair|took a hot bath|chopped wood until
midnight""".replace("\n", "").split("|")

WEATHERS = """raining softly|pouring|snowing|foggy|windy|freezing cold|unbearably hot|warm and
 sunny|cloudy|hailing|dry and dusty|stormy|mild|as dark as night""".replace("\n", "").split("|")

# For agreement: singular, plural
PAIRS = [
    tuple(pair.split("/"))
    for pair in """key/keys lamp/lamps boat/boats wheel/wheels door/doors window/windows
ladder/ladders bucket/buckets flag/flags gate/gates barrel/barrels basket/baskets bridge/bridges
fence/fences statue/statues bench/benches curtain/curtains pot/pots wagon/wagons chair/chairs
table/tables cloak/cloaks saddle/saddles sail/sails""".split()
]
FOLK = [
    tuple(pair.split("/"))
    for pair in """farmer/farmers sailor/sailors painter/painters hunter/hunters teacher/teachers
doctor/doctors gardener/gardeners singer/singers pilgrim/pilgrims soldier/soldiers
traveller/travellers musician/musicians""".split()
]
NEAR = "beside near behind under above opposite below beyond".split()
STATES = """broken old dirty wet new heavy beautiful missing green expensive dusty crooked gone
rusty
painted famous ugly safe ready lost""".split()
ADJECTIVES = "small large old new famous other tall lost pretty strange".split()
SELF_VERBS = """blamed praised surprised taught warmed hid hurt defended washed amused introduced
recognised""".split()
PRESENT = ["Today", "Now", "Nowadays", "This year", "These days", "At present"]
PAST = ["Yesterday", "Last week", "Last year", "Long ago", "In those days", "A year ago"]

# Tastes and dreams; none of these adjectives begins with a vowel, so "a" is always right
TASTES = """red blue green white black yellow tiny big broken golden wooden rusty shiny dirty
borrowed
stolen precious little round dented painted striped cracked foreign lucky heavy forgotten cheap
plain strange""".split()
CHARACTERS = """friendly furious lazy blind dancing barking talking flying giant hungry vain
bald drunken sad clever timid jealous famous singing shy proud homeless
royal""".split()
DEEDS = """danced|wept|slept|sang|lived|laughed|waited|smoked a pipe|played chess|
read the newspaper|
sold balloons|wore a wig|spoke Latin|cooked spaghetti|kept a shop|taught dancing|told jokes|caught
 a cold|lost its temper|won a prize|swam|built a raft|sewed a tent|grew roses""".replace(
    "\n", ""
).split("|")
TAILS = """again|as usual|for once|all day|all week|in those years|as everybody knew|
without a reason|
to the surprise of many|for the third time|like last year|in spite of everything|as in the song|
by mistake|and nobody minded|and everybody noticed|and the dogs barked|which was a good
 sign|which was a bad sign|and that was all|or so they said""".replace("\n", "").split("|")
ROOMS = """kitchen garden parlour street library hallway doorway orchard courtyard workshop
stairwell
meadow""".split()

# The street: what people do to things, and how; what proverbs say
MANNERS = """slowly quickly gladly secretly carefully carelessly suddenly finally proudly sadly
calmly bravely kindly rudely loudly silently patiently greedily politely clumsily""".split()
VERBS = """sharpened carried painted repaired sold bought washed dropped admired found lost stole
lent broke counted wrapped threw kicked caught polished examined sketched weighed measured mended
rescued forgot guarded emptied filled shook dragged lifted praised cursed kissed smelled tasted
traded pawned inspected burned decorated copied folded stamped described wanted needed loved hated
feared followed touched pushed pulled collected returned hung swapped juggled chewed
balanced""".split()
WISDOM = """needs no|fears no|likes no|sells no|sees every|knows every|breaks every|pays for every|
forgets the|finds the|eats the|guards the""".replace("\n", "").split("|")
