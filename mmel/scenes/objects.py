"""The things of the bundled world: what they are called and which emoji draws them."""

from __future__ import annotations

from typing import NamedTuple


class Thing(NamedTuple):
    """A kind of object. `plural` and `synonyms` hold every other word a caption may use for it."""

    name: str
    emoji: str
    plural: str
    synonyms: tuple[str, ...] = ()
    pair: bool = False  # "glasses" and "scissors" are plural words for one thing and take no article

    @property
    def index(self) -> int:
        """Position in `OBJECTS`, which is also its class and its cell in the sprite sheet."""
        return NAMES.index(self.name)


def _thing(name: str, emoji: str, plural: str = "", *synonyms: str) -> Thing:
    return Thing(name, emoji, plural or name + "s", synonyms)


OBJECTS: tuple[Thing, ...] = (
    # animals
    _thing("dog", "\U0001f415", "", "puppy"),
    _thing("cat", "\U0001f408", "", "kitten"),
    _thing("monkey", "\U0001f412"),
    _thing("horse", "\U0001f40e", "", "pony"),
    _thing("elephant", "\U0001f418"),
    _thing("rabbit", "\U0001f407", "", "bunny"),
    _thing("cow", "\U0001f404"),
    _thing("pig", "\U0001f416"),
    _thing("sheep", "\U0001f411", "sheep"),
    _thing("bear", "\U0001f43b"),
    _thing("frog", "\U0001f438"),
    _thing("snake", "\U0001f40d"),
    _thing("turtle", "\U0001f422", "", "tortoise"),
    _thing("fish", "\U0001f420", "fish"),
    _thing("duck", "\U0001f986"),
    _thing("owl", "\U0001f989"),
    _thing("penguin", "\U0001f427"),
    _thing("bee", "\U0001f41d"),
    _thing("butterfly", "\U0001f98b", "butterflies"),
    _thing("snail", "\U0001f40c"),
    _thing("octopus", "\U0001f419", "octopuses"),
    _thing("crab", "\U0001f980"),
    _thing("whale", "\U0001f433"),
    _thing("crocodile", "\U0001f40a", "", "alligator"),
    _thing("camel", "\U0001f42a"),
    _thing("giraffe", "\U0001f992"),
    _thing("tiger", "\U0001f405"),
    _thing("zebra", "\U0001f993"),
    _thing("face", "\U0001f600"),
    # vehicles and the street
    _thing("car", "\U0001f697", "", "automobile"),
    _thing("bus", "\U0001f68c", "buses"),
    _thing("truck", "\U0001f69a", "", "lorry"),
    _thing("train", "\U0001f682"),
    _thing("bicycle", "\U0001f6b2", "", "cycle", "bike"),
    _thing("motorcycle", "\U0001f3cd\ufe0f", "", "motorbike"),
    _thing("airplane", "\u2708\ufe0f", "", "plane"),
    _thing("boat", "\u26f5", "", "sailboat"),
    _thing("rocket", "\U0001f680"),
    _thing("helicopter", "\U0001f681"),
    _thing("traffic light", "\U0001f6a6", "", "stoplight"),
    _thing("house", "\U0001f3e0", "", "home"),
    _thing("tent", "\u26fa"),
    _thing("seat", "\U0001f4ba"),
    # plants and food
    _thing("tree", "\U0001f333"),
    _thing("palm", "\U0001f334"),
    _thing("sunflower", "\U0001f33b"),
    _thing("rose", "\U0001f339"),
    _thing("cactus", "\U0001f335", "cactuses"),
    _thing("mushroom", "\U0001f344"),
    _thing("apple", "\U0001f34e"),
    _thing("banana", "\U0001f34c"),
    _thing("strawberry", "\U0001f353", "strawberries"),
    _thing("pineapple", "\U0001f34d"),
    _thing("watermelon", "\U0001f349"),
    _thing("carrot", "\U0001f955"),
    _thing("pizza", "\U0001f355"),
    _thing("hamburger", "\U0001f354", "", "burger"),
    _thing("cake", "\U0001f382"),
    _thing("donut", "\U0001f369", "", "doughnut"),
    _thing("cup", "\u2615", "", "mug"),
    # things
    _thing("shoe", "\U0001f45f", "", "sneaker"),
    _thing("hat", "\U0001f3a9"),
    _thing("shirt", "\U0001f455"),
    _thing("dress", "\U0001f457", "dresses"),
    Thing("glasses", "\U0001f453", "glasses", ("spectacles",), True),
    _thing("backpack", "\U0001f392", "", "rucksack"),
    _thing("umbrella", "\u2602\ufe0f"),
    _thing("crown", "\U0001f451"),
    _thing("book", "\U0001f4d5"),
    _thing("clock", "\u23f0"),
    _thing("guitar", "\U0001f3b8"),
    _thing("trumpet", "\U0001f3ba"),
    _thing("drum", "\U0001f941"),
    _thing("ball", "\u26bd", "", "football"),
    _thing("balloon", "\U0001f388"),
    _thing("kite", "\U0001fa81"),
    _thing("gift", "\U0001f381", "", "present"),
    _thing("key", "\U0001f511"),
    _thing("phone", "\U0001f4f1", "", "telephone"),
    _thing("camera", "\U0001f4f7"),
    _thing("television", "\U0001f4fa"),
    _thing("chair", "\U0001fa91"),
    Thing("scissors", "\u2702\ufe0f", "scissors", (), True),
    _thing("robot", "\U0001f916"),
)

NAMES: tuple[str, ...] = tuple(thing.name for thing in OBJECTS)
NUMBERS: tuple[str, ...] = ("zero", "one", "two", "three", "four")


def find(word: str) -> Thing:
    """The thing that a name, plural or synonym stands for; raises `KeyError` for any other word."""
    for thing in OBJECTS:
        if word in (thing.name, thing.plural, *thing.synonyms, *(s + "s" for s in thing.synonyms)):
            return thing
    raise KeyError(word)
