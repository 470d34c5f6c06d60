"""Sentences that only set the scene: what may be said of each thing, and how a story may end."""

# noun: what it can be
#   what it did; what else it did
_SCENERY = """
river: wide slow cold silver muddy deep
  ran quietly past the mill; carried the fallen leaves away; glittered in the sun; had risen
  during the night
moon: pale large thin yellow
  hung above the roofs; lit the empty street; hid behind a cloud; looked down on the harbour
wind: cold gentle salty wild
  rattled the shutters; blew from the north; smelled of smoke; tore the washing from the line
forest: dark silent endless green
  began behind the last house; was full of whispers; kept its secrets; smelled of pine and moss
road: dusty long steep winding
  led over the hill; ended at the sea; was blocked by fallen trees; was empty for miles
market: noisy crowded cheap little
  closed before noon; smelled of fish and spices; filled the whole square; was held in spite of
  the snow
harbour: busy sleepy old foggy
  was full of masts; lay behind the warehouses; was quiet at low tide; echoed with the cries of
  gulls
church: white small ancient cold
  stood on a hill; had lost its roof; rang its bells at noon; was open to everyone
inn: cosy shabby famous smoky
  served the best beer for miles; had only three rooms; was full of strangers; closed its doors
  at ten
garden: wild neat secret tiny
  was full of bees; sloped down to the water; belonged to nobody; bloomed until October
snow: deep fresh dirty soft
  covered every path; melted by noon; fell without a sound; lay knee deep in the lanes
train: late slow crowded yellow
  whistled in the valley; did not stop at the station; crossed the high viaduct; arrived after
  dark
baby: tiny fat cheerful tired
  slept through the thunder; laughed at the ducks; cried until dawn; pulled everybody by the
  nose
king: old vain generous lazy
  travelled with forty servants; was afraid of mice; forgot his crown at the inn; raised the
  taxes again
thief: clever clumsy hungry famous
  escaped over the roofs; returned everything in the end; was never caught; left muddy
  footprints behind
ghost: polite pale noisy lonely
  walked through the library; moaned in the cellar; wanted only company; vanished at sunrise
neighbour: curious friendly deaf greedy
  looked over the hedge; borrowed the wheelbarrow; complained about the noise; brought a jar of
  jam
soldier: young wounded weary proud
  marched home alone; asked for a drink of water; told nobody his name; limped across the
  square
circus: loud shabby splendid small
  put up its tent by the river; came only in spring; had a dancing bear; left before sunrise
bridge: narrow low old shaky
  swayed under every step; was built by giants; collapsed in the flood; cost a penny to cross
castle: ruined gloomy proud distant
  guarded the valley; had a hundred windows; stood empty since the war; was haunted on Fridays
library: silent dusty famous cold
  smelled of leather; held ten thousand books; was heated by a single stove; opened only on
  Tuesdays
school: small strict yellow new
  had one teacher and sixty pupils; closed for the harvest; stood beside the pond; taught
  reading and swimming
cow: brown patient stubborn spotted
  refused to cross the brook; gave no milk that week; blocked the doorway; chewed on a straw
  hat
cloud: dark lonely enormous pink
  drifted over the mountains; looked like a whale; brought no rain; covered the sun
ship: proud leaky foreign black
  sailed with the evening tide; brought oranges from the south; ran aground on the sandbank;
  carried a cargo of pepper
candle: thin tall crooked white
  burned all night; went out in the draught; threw long shadows; stood in the window
stranger: tall silent elegant bearded
  asked the way to the castle; paid with foreign money; stayed for a month; carried a violin
  case
fire: small bright smoky wild
  crackled in the hearth; warmed the whole cottage; would not burn; attracted the moths
mountain: snowy distant steep blue
  rose behind the town; could be seen from every window; had never been climbed; hid the border
orchard: old fragrant wide sunny
  was robbed by boys every autumn; stood in full blossom; sloped towards the south; gave no
  fruit that year
mill: creaking abandoned busy white
  turned day and night; belonged to two brothers; ground flour for three villages; stood still
  for lack of wind
owl: wise white sleepy grumpy
  watched from the rafters; hooted three times; caught a vole; blinked at the lamp
well: deep dry mossy public
  never froze; tasted of iron; was older than the town; needed a new rope
mayor: fat nervous honest pompous
  gave a long speech; slept through the meeting; promised a new fountain; wore a golden chain
winter: long mild hard early
  came overnight; froze the harbour; lasted until April; killed the rose bushes
island: green tiny rocky forgotten
  lay an hour from the shore; had more sheep than people; sank in the mist; was sold for a song
clock: old proud loud slow
  struck thirteen; ran ten minutes slow; ticked in the hall; stopped at midnight
storm: sudden terrible short violent
  uprooted the oak; lasted three days; passed out to sea; broke every pane of glass
letter: long mysterious crumpled perfumed
  arrived without a stamp; was written in green ink; changed everything; lay unopened on the
  table
kitchen: warm tidy smoky tiny
  smelled of cinnamon; was the best room in the house; overflowed with dishes; had a floor of
  red tiles
beggar: blind cheerful ragged thin
  sang outside the bakery; knew all the news; shared his bread; slept in a doorway
tailor: thin patient busy gifted
  sewed by lamplight; measured everyone twice; pricked his thumb; charged too little
sea: rough calm grey endless
  swallowed the old lighthouse; was as smooth as glass; roared below the cliffs; gave back the
  wreck
field: golden stony flooded quiet
  was ready for the harvest; belonged to the convent; lay fallow; shone after the rain
street: crooked steep narrow lively
  smelled of fresh bread; was paved with cobbles; led down to the docks; was decorated with
  flags
child: pale solemn clever noisy
  chased a hoop; asked a hundred questions; fell into the fountain; had lost a tooth
judge: stern fair sleepy elderly
  postponed the trial; listened to both sides; smiled for once; broke his spectacles
coach: crowded heavy royal muddy
  lost a wheel; came twice a week; was drawn by six horses; splashed everyone
spring: late sudden lovely rainy
  woke the frogs; brought back the swallows; filled the ditches; turned the meadows yellow
"""

THINGS_SEEN: list[tuple[str, list[str], list[str]]] = []
for _entry in _SCENERY.strip().replace("\n  ", "  ").splitlines():
    _head, *_doing = _entry.split("  ")
    _noun, _being = _head.split(": ")
    THINGS_SEEN.append((_noun, _being.split(), " ".join(_doing).split("; ")))

ENDINGS = [
    "A borrowed lantern must be returned.",
    "Nobody ever spoke of it again.",
    "And that was the end of the matter.",
    "The next day everything was as before.",
    "Small keys open heavy doors.",
    "Whoever laughs last needs no candle.",
    "So the day ended better than it had begun.",
    "It was a good story to tell by the stove.",
    "Patience is a slow horse, but it arrives.",
    "They are still talking about it.",
    "Some debts are paid in kindness.",
    "After that it was time for bed.",
    "Even a short road has two ends.",
    "Such things happen more often than people think.",
    "An empty pocket has no hole.",
    "Then the lamps were put out, one after another.",
    "Honest bread tastes of salt.",
    "It would not be the last time.",
    "A secret weighs more than a stone.",
    "Everybody went home with wet feet and a light heart.",
    "The dog alone had understood.",
    "Old friends need few words.",
    "From then on the gate stayed open.",
    "Luck visits, work remains.",
    "What the flood takes, the spring returns.",
    "Perhaps it is even true.",
    "Every lie has short legs.",
    "He who waits by the river sees everything float past.",
    "In the morning they had forgotten it.",
    "Silence, too, is an answer.",
    "The rest is written in the church register.",
    "Good neighbours share their ladders.",
]
