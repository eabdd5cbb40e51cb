"""Who must be told what, reckoned a second time: from the rules alone, in plain Python, with nothing of the product.

It is slow and obvious on purpose. What is down is found by asking the graph again for every set of outages; what an
address has been told is a dictionary. It takes for granted that everything has left before the next thing happens.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import NamedTuple

import networkx as nx

Row = Mapping[str, str]
NOTHING, REDUCED, DEGRADED, DOWN = 0, 1, 2, 3
LEVELS = {"reduced_redundancy": REDUCED, "degraded": DEGRADED, "outage": DOWN}
EFFECTS = {"at_risk": REDUCED, "degraded": DEGRADED, "outage": DOWN}
_GATEWAYS = "the gateways"


class Thing(NamedTuple):
    """A circuit, or the subscription to a service (kind `service`)."""

    kind: str
    id: str
    customer: str


class Address(NamedTuple):
    channel: str
    value: str


Scope = dict[str, int]
"""What is named, `kind:id`, and how bad it is there."""


# --- what is down ---


class Plant:
    """Elements, services and circuits, and how badly off each is under a scope (rules 1 to 3)."""

    def __init__(self, elements: Sequence[Row], services: Sequence[Row]) -> None:
        self._links = {e["id"]: (e["a"], e["z"]) for e in elements if e.get("a")}
        self._gateways = [e["id"] for e in elements if e.get("gateway")]
        self._needs = {f"element:{e['id']}": e.get("depends_on", "") for e in elements}
        self._needs |= {f"service:{s['id']}": s.get("depends_on", "") for s in services}
        ends = {end for link in self._links.values() for end in link}
        self._nodes = ends | set(self._gateways)
        self._with_path = self._reach(set())
        self._with_two = self._two_ways(set())

    def levels(self, scope: Scope) -> dict[str, int]:
        """Every element's and service's level that is worse than nothing, and what the scope itself names."""
        found = dict(scope)
        for bad in (DOWN, DEGRADED, REDUCED):
            while self._once(found, bad):
                pass
        return found

    def need(self, text: str, levels: Mapping[str, int]) -> int:
        """The level of a `depends_on`: the worst of its terms, each as well off as its best alternative."""
        return max((self._term(term, levels) for term in _terms(text)), default=NOTHING)

    def _once(self, levels: dict[str, int], bad: int) -> bool:
        """One round of the rules at one level; whether anything got worse."""
        worse = {name for name, need in self._needs.items() if need and self.need(need, levels) >= bad}
        down = {name for name in self._nodes | set(self._links) if levels.get(f"element:{name}", NOTHING) == DOWN}
        if bad == DOWN:
            worse |= {f"element:{link}" for link, ends in self._links.items() if down.intersection(ends)}
            worse |= {f"element:{node}" for node in self._with_path - self._reach(down)}
        elif bad == DEGRADED:
            poor = {name for name in self._nodes | set(self._links) if levels.get(f"element:{name}", NOTHING) >= bad}
            worse |= {f"element:{node}" for node in self._with_path - self._reach(poor)}
        else:
            worse |= {f"element:{node}" for node in self._with_two - self._two_ways(down)}
        changed = [name for name in worse if levels.get(name, NOTHING) < bad]
        levels.update(dict.fromkeys(changed, bad))
        return bool(changed)

    def _term(self, term: tuple[str, ...], levels: Mapping[str, int]) -> int:
        found = [levels.get(name, NOTHING) for name in term]
        if len(found) == 1:
            return found[0]
        return max(min(found), REDUCED if any(found) else NOTHING)

    def _graph(self, without: Collection[str]) -> "nx.Graph[str]":
        """Nodes and links as vertices, all gateways as one: so parallel ways stay two ways."""
        graph: nx.Graph[str] = nx.Graph()
        graph.add_node(_GATEWAYS)
        merged = {gateway: _GATEWAYS for gateway in self._gateways}
        graph.add_nodes_from(merged.get(node, node) for node in self._nodes if node not in without)
        for link, ends in self._links.items():
            if link not in without and not set(ends).intersection(without):
                graph.add_edges_from((f"link {link}", merged.get(end, end)) for end in ends)
        return graph

    def _reach(self, without: Collection[str]) -> set[str]:
        """The nodes with a path to a gateway over what is not left out."""
        found: set[str] = nx.node_connected_component(self._graph(without), _GATEWAYS) & self._nodes
        return found | (set(self._gateways) - set(without))

    def _two_ways(self, without: Collection[str]) -> set[str]:
        """The nodes with two edge-disjoint paths to the gateways: no bridge lies between."""
        graph = self._graph(without)
        graph.remove_edges_from(list(nx.bridges(graph)))
        found: set[str] = nx.node_connected_component(graph, _GATEWAYS) & self._nodes
        return found | (set(self._gateways) - set(without))


@cache
def _terms(text: str) -> tuple[tuple[str, ...], ...]:
    """The terms of a `depends_on`, each with its alternatives by kind and id."""
    return tuple(
        tuple(name if ":" in name else f"element:{name}" for name in term.split("|"))
        for term in text.split(";")
        if term
    )


# --- what is said ---


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing in a message: what it is now, what this address believed before, since when, and how long it was."""

    thing: Thing
    label: str
    level: int
    was: int
    since: datetime
    back_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Word:
    """One message that must arrive. `zones`: any of them is right; `repaired`: another outage's end made it speak."""

    address: Address
    outage: str
    kind: str
    name: str
    zones: frozenset[str]
    lines: tuple[Line, ...]
    eta: datetime | None
    was_eta: datetime | None
    repaired: bool = False

    @property
    def ended(self) -> bool:
        return self.kind in ("resolution", "retraction")

    @property
    def worst(self) -> int:
        return max(line.level for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """A contact that hears on an address for a customer."""

    contact: Row
    customer: str
    levels: frozenset[int]


@dataclass(kw_only=True)
class Outage:
    scope: Scope
    number: int
    started_at: datetime
    eta: datetime | None
    back: set[str] = field(default_factory=set)
    open: bool = True
    episode: int = 1


@dataclass(kw_only=True)
class Belief:
    """What an address was last told about a thing, and by whom."""

    leader: str
    level: int
    since: datetime


class Reckoning:
    """The provider's customers, and every outage so far. Each verb answers with the messages it must cause."""

    def __init__(
        self,
        *,
        elements: Sequence[Row],
        services: Sequence[Row],
        sites: Sequence[Row],
        customers: Sequence[Row],
        contacts: Sequence[Row],
        circuits: Sequence[Row],
        subscriptions: Sequence[Row],
        zone: str,
        notify: Mapping[str, str],
    ) -> None:
        """`zone`: the provider's; `notify`: what an empty cell means, by tier."""
        self._plant = Plant(elements, services)
        self._sites = {row["id"]: row for row in sites}
        self._services = {row["id"]: row for row in services}
        self._customers = {row["id"]: row for row in customers}
        self._contacts = [row for row in contacts if row.get("status", "") in ("", "active")]
        self._circuits = {row["id"]: row for row in circuits}
        self._zone, self._notify = zone, notify
        self._all_contacts = contacts
        self._subscriptions = subscriptions
        self._outages: dict[str, Outage] = {}
        self._levels: dict[Thing, int] = {}
        self._by: dict[Thing, tuple[str, ...]] = {}
        self._from: dict[tuple[str, Thing], datetime] = {}
        self._beliefs: dict[Address, dict[Thing, Belief]] = {}
        self._knows: set[tuple[Address, str, int]] = set()
        self._etas: dict[tuple[Address, str, int], datetime | None] = {}
        self._assessed: dict[tuple[str, ...], dict[str, int]] = {}

    # --- the verbs ---

    def declare(
        self, outage: str, scope: Scope, *, at: datetime, started_at: datetime, eta: datetime | None = None
    ) -> list[Word]:
        self._outages[outage] = Outage(scope=scope, number=len(self._outages), started_at=started_at, eta=eta)
        return self._say(outage, at=at, begun=started_at, to_all=True)

    def update(
        self,
        outage: str,
        *,
        at: datetime,
        message: bool = False,
        eta: datetime | str | None = "keep",
        add: Scope | None = None,
        remove: Iterable[str] = (),
    ) -> list[Word]:
        """`eta`: "keep", a new one, or None to withdraw it. What is removed never was affected."""
        it = self._outages[outage]
        changed = not isinstance(eta, str) and eta != it.eta
        if not isinstance(eta, str):
            it.eta = eta
        scope = {name: level for name, level in it.scope.items() if name not in set(remove)} | (add or {})
        rescoped, it.scope = scope != it.scope, scope
        return self._say(outage, at=at, begun=at, to_all=message or changed, never=rescoped)

    def restore(self, outage: str, names: Iterable[str], *, at: datetime, restored_at: datetime) -> list[Word]:
        it = self._outages[outage]
        for name in names:
            if it.scope.pop(name, None) is None:
                it.back.add(name)
        return self._say(outage, at=at, begun=at, back_at=restored_at)

    def resolve(self, outage: str, *, at: datetime, resolved_at: datetime) -> list[Word]:
        self._outages[outage].open = False
        return self._say(outage, at=at, begun=at, back_at=resolved_at, to_all=True)

    def retract(self, outage: str, *, at: datetime) -> list[Word]:
        self._outages[outage].open = False
        return self._say(outage, at=at, begun=at, to_all=True, never=True)

    def reopen(self, outage: str, *, at: datetime) -> list[Word]:
        it = self._outages[outage]
        it.open, it.eta, it.back, it.episode = True, None, set(), it.episode + 1
        return self._say(outage, at=at, begun=at, to_all=True)

    # --- who can be told, and of what ---

    @cached_property
    def things(self) -> dict[Thing, Callable[[Mapping[str, int]], int]]:
        """Every live circuit and subscription, and how its level follows from the plant's."""
        live = {id for id, row in self._customers.items() if row.get("status", "") in ("", "active")}
        found: dict[Thing, Callable[[Mapping[str, int]], int]] = {}
        for row in self._circuits.values():
            if row["customer_id"] in live and row.get("status", "") in ("", "active"):
                found[Thing("circuit", row["id"], row["customer_id"])] = self._circuit(row)
        for row in self._subscriptions:
            if row["customer_id"] in live:
                found[Thing("service", row["service_id"], row["customer_id"])] = self._subscription(row)
        return found

    @cached_property
    def hearings(self) -> dict[Address, list[Hearing]]:
        """Behind each address, the contacts that want its channel, each for its customer and, as a parent, others'."""
        found: dict[Address, list[Hearing]] = {}
        for contact in self._contacts:
            for customer in self._heard_for(contact["customer_id"]):
                words = contact.get("notify") or self._notify.get(customer.get("tier", ""), self._notify[""])
                levels = frozenset(LEVELS[word] for word in words.split() if word in LEVELS)
                hearing = Hearing(contact=contact, customer=customer["id"], levels=levels)
                for address in addresses_of(contact):
                    found.setdefault(address, []).append(hearing)
        return found

    @cached_property
    def held_back(self) -> set[Address]:
        """Addresses on more than five customers without a common parent."""
        owners: dict[Address, set[str]] = {}
        for contact in self._all_contacts:
            if contact.get("status") != "ended" and self._customers[contact["customer_id"]].get("status") != "ended":
                for address in addresses_of({**contact, "channels": ""}):
                    owners.setdefault(address, set()).add(contact["customer_id"])
        return {a for a, ids in owners.items() if len(ids) > 5 and len({self._family(id) for id in ids}) > 1}

    def affected(self) -> dict[Thing, int]:
        """What is touched now, by all open outages together."""
        return dict(self._levels)

    def touched_by(self, outage: str) -> dict[Thing, int]:
        """What one outage touches now, at its level."""
        return {thing: level for thing, level in self._levels.items() if outage in self._by[thing]}

    def unreachable(self, outage: str) -> set[str]:
        """The customers whom an outage touches badly enough to be told by default, and who have no address at all."""
        usual = {LEVELS[word] for word in self._notify[""].split() if word in LEVELS}
        reached = {h.customer for group in self._any_address.values() for h in group}
        return {t.customer for t, level in self.touched_by(outage).items() if level in usual} - reached

    def customers_of(self, address: Address) -> set[str]:
        """For whom an address may be told something."""
        return {hearing.customer for hearing in self._any_address.get(address, ())}

    @cached_property
    def _any_address(self) -> dict[Address, list[Hearing]]:
        found: dict[Address, list[Hearing]] = {}
        for contact in self._contacts:
            for customer in self._heard_for(contact["customer_id"]):
                hearing = Hearing(contact=contact, customer=customer["id"], levels=frozenset())
                for address in addresses_of({**contact, "channels": ""}):
                    found.setdefault(address, []).append(hearing)
        return found

    def _heard_for(self, owner: str) -> list[Row]:
        own = self._customers[owner]
        found = [own] if not own.get("parent_id") or own.get("told_via") != "parent" else []
        return found + [child for child in self._children.get(owner, []) if child.get("told_via") in ("parent", "both")]

    @cached_property
    def _children(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in self._customers.values():
            found.setdefault(row.get("parent_id", ""), []).append(row)
        return found

    def _family(self, customer: str) -> str:
        return self._customers[customer].get("parent_id") or customer

    def _circuit(self, row: Row) -> Callable[[Mapping[str, int]], int]:
        names = [f"circuit:{row['id']}", f"customer:{row['customer_id']}", f"site:{row.get('site', '')}"]
        names.append(f"service:{row.get('service_id', '')}")
        need = row.get("depends_on", "")
        return lambda levels: max(self._plant.need(need, levels), *(levels.get(name, NOTHING) for name in names))

    def _subscription(self, row: Row) -> Callable[[Mapping[str, int]], int]:
        names = (f"customer:{row['customer_id']}", f"service:{row['service_id']}")
        return lambda levels: max(levels.get(name, NOTHING) for name in names)

    # --- what is, on the union of all open outages ---

    def _assess(self, outages: tuple[str, ...]) -> dict[str, int]:
        """The plant's levels under the scopes of these outages together."""
        if outages not in self._assessed:
            scope: Scope = {}
            for name in outages:
                for thing, level in self._outages[name].scope.items():
                    scope[thing] = max(level, scope.get(thing, NOTHING))
            self._assessed[outages] = self._plant.levels(scope)
        return self._assessed[outages]

    def _reckon(self, speaker: str, at: datetime, begun: datetime) -> None:
        """All levels again, who touches what, and since when."""
        names = sorted((o for o, it in self._outages.items() if it.open), key=lambda o: self._outages[o].number)
        levels: dict[Thing, int] = {}
        by: dict[Thing, tuple[str, ...]] = {}
        self._assessed.clear()
        for thing, judge in self.things.items():
            bearing = tuple(o for o in names if not self._is_back(o, thing))
            level = judge(self._assess(bearing))
            if level == NOTHING:
                continue
            touching = tuple(
                o
                for o in bearing
                if judge(self._assess((o,))) or judge(self._assess(tuple(x for x in bearing if x != o))) < level
            )
            levels[thing], by[thing] = level, touching
            for o in touching:
                if (o, thing) not in self._from or o not in self._by.get(thing, ()):
                    self._from[o, thing] = begun if o == speaker else at
                elif level != self._levels.get(thing):
                    self._from[o, thing] = at
        self._levels, self._by = levels, by

    def _is_back(self, outage: str, thing: Thing) -> bool:
        back = self._outages[outage].back
        if not back:
            return False
        site = self._circuits[thing.id].get("site", "") if thing.kind == "circuit" else ""
        return bool(back & {f"{thing.kind}:{thing.id}", f"customer:{thing.customer}", f"site:{site}"})

    # --- what is said about it ---

    def _say(
        self,
        outage: str,
        *,
        at: datetime,
        begun: datetime,
        back_at: datetime | None = None,
        to_all: bool = False,
        never: bool = False,
    ) -> list[Word]:
        self._reckon(outage, at, begun)
        words: list[Word] = []
        for address in self._addresses_concerned():
            if address not in self.held_back:
                words += self._tell(address, outage, at=at, back_at=back_at, to_all=to_all, never=never)
        return words

    def _addresses_concerned(self) -> list[Address]:
        customers = {thing.customer for thing in self._levels}
        return [
            address
            for address, group in self.hearings.items()
            if self._beliefs.get(address) or customers.intersection(hearing.customer for hearing in group)
        ]

    def _tell(
        self, address: Address, outage: str, *, at: datetime, back_at: datetime | None, to_all: bool, never: bool
    ) -> list[Word]:
        """One address: compare what is with what it believes, thing by thing; then one message for each voice."""
        beliefs = self._beliefs.setdefault(address, {})
        said: dict[str, list[tuple[str, Line]]] = {}
        covered = False
        for thing in self._things_of(address):
            level = self._heard(address, thing, beliefs.get(thing))
            voice, news = self._news(outage, thing, level, beliefs.get(thing))
            covered = covered or bool(level and outage in self._by.get(thing, ()) and voice != outage)
            if not voice:
                continue
            belief = beliefs.get(thing)
            since = belief.since if belief else min(self._from[o, thing] for o in self._by[thing])
            line = Line(
                thing=thing,
                label=self._label(thing),
                level=level,
                was=belief.level if belief else NOTHING,
                since=since,
                back_at=(back_at or at) if news == "back" else None,
            )
            said.setdefault(voice, []).append((news, line))
            if level:
                beliefs[thing] = Belief(leader=voice, level=level, since=since)
            else:
                beliefs.pop(thing)
        words = [self._word(address, outage, voice, found, to_all, never) for voice, found in sorted(said.items())]
        if covered:
            self._knows.add((address, outage, self._outages[outage].episode))
        return [word for word in words if word is not None]

    def _news(self, outage: str, thing: Thing, level: int, belief: Belief | None) -> tuple[str, str]:
        """Who speaks of a thing now ("": nobody), and what is new about it."""
        touching = self._by.get(thing, ())
        if belief is None:
            if not level:
                return "", ""
            return (outage if outage in touching else touching[0]), "new"
        if not level:
            return belief.leader, "back"
        if belief.leader not in touching:
            return touching[0], "passed"
        if level > belief.level:
            if outage != belief.leader and outage in touching:
                return outage, "taken over"
            return belief.leader, "worse"
        return belief.leader, "better" if level < belief.level else "same"

    def _word(
        self,
        address: Address,
        outage: str,
        voice: str,
        said: list[tuple[str, Line]],
        to_all: bool,
        never: bool,
    ) -> Word | None:
        news = {what for what, _ in said}
        own = voice == outage
        if news == {"same"} and not (own and to_all):
            return None
        it = self._outages[voice]
        key = (address, voice, it.episode)
        was_eta = self._etas.get(key)
        told_eta = self._etas.get(key, it.eta)
        if key not in self._knows or news & {"new", "taken over"}:
            kind = "acknowledgement"
        elif news == {"back"}:
            kind = "retraction" if never else "resolution"
        elif own and to_all and it.eta != told_eta and "passed" not in news:
            kind = "eta"
        else:
            kind = "update"
        self._knows.add(key)
        self._etas[key] = it.eta
        name, zones = self._reader(address, [line for _, line in said])
        return Word(
            address=address,
            outage=voice,
            kind=kind,
            name=name,
            zones=zones,
            lines=tuple(line for _, line in said),
            eta=it.eta,
            was_eta=was_eta if was_eta != it.eta else None,
            repaired=kind == "update" and "passed" in news and not never,
        )

    @cached_property
    def _things_by_customer(self) -> dict[str, list[Thing]]:
        found: dict[str, list[Thing]] = {}
        for thing in self.things:
            found.setdefault(thing.customer, []).append(thing)
        return found

    def _things_of(self, address: Address) -> list[Thing]:
        """The things it is told of or was told of."""
        customers = {hearing.customer for hearing in self.hearings[address]}
        found = [t for id in customers for t in self._things_by_customer.get(id, ()) if t in self._levels]
        return list(dict.fromkeys([*self._beliefs.get(address, ()), *found]))

    def _heard(self, address: Address, thing: Thing, belief: Belief | None) -> int:
        """The level as the address hears it. Whoever was told of trouble does not hear "back" of what is degraded."""
        level = self._levels.get(thing, NOTHING)
        wanted = any(h.customer == thing.customer and level in h.levels for h in self.hearings[address])
        return level if wanted or (belief is not None and level >= DEGRADED) else NOTHING

    def _reader(self, address: Address, lines: Sequence[Line]) -> tuple[str, frozenset[str]]:
        """Whose name and zone: the lowest contact id's; contact's, customer's, site's, provider's zone."""
        contact = min((h.contact for h in self.hearings[address]), key=lambda row: row["id"])
        zone = contact.get("timezone") or self._customers[contact["customer_id"]].get("timezone")
        if zone:
            return contact["name"], frozenset({zone})
        circuits = [self._circuits[line.thing.id] for line in lines if line.thing.kind == "circuit"]
        sites = {self._sites.get(row.get("site", ""), {}).get("timezone", "") for row in circuits} - {""}
        return contact["name"], frozenset(sites or {self._zone})

    def _label(self, thing: Thing) -> str:
        if thing.kind == "service":
            return self._services[thing.id]["name"]
        return self._circuits[thing.id].get("label") or thing.id


def addresses_of(contact: Row) -> list[Address]:
    """Where a contact can be written to on the channels it wants; an empty cell wants all."""
    channels = (contact.get("channels") or "email sms").split()
    found = [Address("email", contact["email"].lower())] if contact.get("email") and "email" in channels else []
    if contact.get("phone") and "sms" in channels:
        found.append(Address("sms", contact["phone"]))
    return found
