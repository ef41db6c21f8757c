// Package coretest is a make-believe cluster for tests of what stands on the
// client core: nodes without raft or disk that answer at once and, as told, lose
// messages, fall silent, answer late or twice, send clients on to other nodes, and
// leave outcomes in doubt. Its partitions keep to the rules of the real ones
// (broker/partition) as far as clients can tell: dense offsets and duplicate
// detection.
//
// It never stands in for the simulator: it has one thread of fate and no
// replicas.
package coretest

import (
	"container/heap"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// World is virtual time, the nodes and the links between them and the clients.
type World struct {
	// Faults may be changed while the world runs.
	Faults Faults
	// Script, if set, may answer in a node's stead: with ok, the response counts,
	// and nil is silence.
	Script func(id api.NodeID, request *api.Request) (response *api.Response, ok bool)

	now    env.Time
	events events
	order  uint64
	random *prng.Stream
	nodes  []*node
	meta   api.NodeID
	// before is what there was when a node was last replaced, nil if none was.
	before *api.MetadataResponse
	topics map[string]*Topic
	groups map[string]*Group
	// Deleted are the topics that are no more.
	Deleted []*Topic
	// last of the ids given out.
	lastTopic    api.TopicID
	lastProducer api.ProducerID
	lastMember   uint64
	epochs       map[api.ProducerID]api.Epoch
	clients      []*Host
}

// Faults are chances in a thousand, each for one request, and delays.
type Faults struct {
	// LoseRequest and LoseAnswer fall silent; LateAnswer comes after up to 5 s,
	// and Twice comes again.
	LoseRequest, LoseAnswer, LateAnswer, Twice int64
	// Break breaks the link when the request arrives, before or after the node
	// acted on it.
	Break int64
	// Refuse answers with a definite, retriable code.
	Refuse int64
	// Doubt answers LEADERSHIP_LOST to a change, which happens now, within 5 s, or
	// never.
	Doubt int64
	// NoHint leaves the leader out of NOT_LEADER.
	NoHint int64
	// Behind answers a look-up by what there was when a node was last replaced.
	Behind int64
	// Delay of a message at most.
	Delay env.Time
}

// longest is how long a late answer or a change in doubt takes at most.
const longest = 5 * env.Second

// NewWorld makes a cluster of so many nodes, all up, the first the meta leader.
func NewWorld(seed uint64, nodes int) *World {
	w := &World{
		random: prng.New(seed), topics: map[string]*Topic{}, groups: map[string]*Group{}, epochs: map[api.ProducerID]api.Epoch{}, meta: 1,
		Faults: Faults{Delay: 2 * env.Millisecond},
	}
	for range nodes {
		w.join()
	}
	return w
}

// Rename says where a node is reached.
func (w *World) Rename(id api.NodeID, name env.Endpoint) { w.node(id).name = name }

// Answer is what a node says to a request, without any fault; nil where it says
// nothing.
func (w *World) Answer(id api.NodeID, request *api.Request) *api.Response {
	response := w.act(w.node(id), request)
	if silent(request) {
		return nil
	}
	response.Id = request.Id
	return response
}

// Endpoints of the nodes, also of those that were removed.
func (w *World) Endpoints() []env.Endpoint {
	var all []env.Endpoint
	for _, n := range w.nodes {
		all = append(all, n.name)
	}
	return all
}

// Now is the virtual time.
func (w *World) Now() env.Time { return w.now }

// At calls then at a time.
func (w *World) At(at env.Time, then func()) {
	w.order++
	heap.Push(&w.events, event{max(at, w.now), w.order, then})
}

// Run lets time pass until a moment.
func (w *World) Run(until env.Time) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.run()
		// Now and then several events share a burst.
		if len(w.events) > 0 && w.events[0].at == w.now && w.chance(500) {
			continue
		}
		for _, c := range w.clients {
			c.process.Flush()
		}
	}
	w.now = until
}

// SetUp makes a node answer, or not. Links to a node that goes down break.
func (w *World) SetUp(id api.NodeID, up bool) {
	n := w.node(id)
	if n.up && !up {
		w.Cut(id)
	}
	n.up = up
}

// Cut breaks every link to a node, which stays up.
func (w *World) Cut(id api.NodeID) {
	for _, c := range w.clients {
		c.cut(w.node(id))
	}
}

// LeadMeta makes a node the leader of the meta group.
func (w *World) LeadMeta(id api.NodeID) { w.meta = id }

func (w *World) node(id api.NodeID) *node { return w.nodes[id-1] }

func (w *World) chance(thousandths int64) bool { return w.random.Chance(thousandths, 1000) }

func (w *World) delay() env.Time { return 1 + env.Time(w.random.Below(int64(w.Faults.Delay)+1)) }

// Host is the place of one client: its clock and its network.
type Host struct {
	world   *World
	name    env.Endpoint
	process env.Process
	// alarm numbers the calls of WakeAt: only the last one rings.
	alarm uint64
	links map[env.Endpoint]*link
}

// link is a connection: what is sent on it arrives in order, until it is cut.
type link struct {
	// generation counts the cuts; what was sent before one does not arrive.
	generation int
	// there and back are when the last message arrives, in each direction.
	there, back env.Time
}

// NewHost makes the place of a client, which is attached later.
func (w *World) NewHost(name env.Endpoint) *Host {
	return &Host{world: w, name: name, links: map[env.Endpoint]*link{}}
}

func (h *Host) link(to env.Endpoint) *link {
	l := h.links[to]
	if l == nil {
		l = &link{}
		h.links[to] = l
	}
	return l
}

// Attach puts a client in its place.
func (h *Host) Attach(p env.Process) {
	h.process = p
	h.world.clients = append(h.world.clients, h)
}

// Now implements env.Clock.
func (h *Host) Now() env.Time { return h.world.now }

// Wall implements env.Clock.
func (h *Host) Wall() int64 { return 1_700_000_000_000 + int64(h.world.now/env.Millisecond) }

// WakeAt implements env.Clock.
func (h *Host) WakeAt(t env.Time) {
	h.alarm++
	mine := h.alarm
	h.world.At(t, func() {
		if h.alarm == mine {
			h.process.Wake()
		}
	})
}

// Send implements env.Network. The message crosses as bytes.
func (h *Host) Send(to env.Endpoint, m *api.Message) {
	w := h.world
	if !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.name == to }) {
		panic(fmt.Sprintf("coretest: message to %q, which is no node", to))
	}
	l := h.link(to)
	frame := api.EncodeFrame(m)
	l.there = max(l.there, w.now+w.delay())
	generation := l.generation
	w.At(l.there, func() {
		if l.generation == generation {
			w.arrive(h, to, frame)
		}
	})
}

func (h *Host) answer(from *node, response *api.Response) {
	w := h.world
	l := h.link(from.name)
	frame := api.EncodeFrame(&api.Message{Body: &api.Message_Response{Response: response}})
	l.back = max(l.back, w.now+w.delay())
	generation := l.generation
	w.At(l.back, func() {
		if l.generation == generation {
			h.deliver(from, frame)
		}
	})
}

func (h *Host) deliver(from *node, frame []byte) {
	m, err := api.DecodeFrame(frame)
	if err != nil {
		panic("coretest: " + err.Error())
	}
	h.process.Receive(from.name, m)
}

// cut breaks the link to a node; the client hears of it a little later.
func (h *Host) cut(n *node) {
	h.link(n.name).generation++
	h.world.At(h.world.now+h.world.delay(), func() { h.process.Lost(n.name) })
}

type event struct {
	at    env.Time
	order uint64
	run   func()
}

// events implements heap.Interface.
type events []event

// Len implements heap.Interface.
func (e events) Len() int { return len(e) }

// Less implements heap.Interface.
func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].order < e[j].order
}

// Swap implements heap.Interface.
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop implements heap.Interface.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
