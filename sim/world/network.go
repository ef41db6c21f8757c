package world

import (
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/prng"
)

// network carries messages as frames between hosts. Between two nodes each is on
// its own; a client keeps a connection to each node that it talks to, which a node
// knows by a name that no other connection ever has.
type network struct {
	world *World
	links *netsim.Network
	// live connections, by the client's and the node's name; and all that the
	// node's end still believes in, by the name it has there.
	live  map[pair]*connection
	named map[env.Endpoint]*connection
	made  uint64
	// flap is the next time at which a flapping fault changes, if there is one.
	flap netsim.Time
}

type pair struct{ client, node env.Endpoint }

// connection is a client's link to one life of one node.
type connection struct {
	client, node         *Host
	clientLife, nodeLife uint64
	name                 env.Endpoint // of the client, at the node
	broken               bool
}

func newNetwork(w *World, profile netsim.Profile) *network {
	return &network{
		world: w, links: netsim.New(prng.Hash(w.seed, drawNetwork), profile),
		live: make(map[pair]*connection), named: make(map[env.Endpoint]*connection),
	}
}

// Links is what happened on the links so far.
func (w *World) Links() netsim.Counts { return w.network.links.Counts() }

// StartFault puts a fault of the network in force; connections that it cuts break.
func (w *World) StartFault(id int, f netsim.Fault) {
	w.network.links.Start(w.network.now(), id, f)
	w.network.breakCut()
	w.network.watchFlaps()
}

// HealFault ends a fault of the network.
func (w *World) HealFault(id int) { w.network.links.Heal(id) }

func (n *network) now() netsim.Time { return netsim.Time(n.world.Agenda.Now()) }

// send puts a message on its way.
func (n *network) send(h *Host, to env.Endpoint, m *api.Message) {
	w := n.world
	frame := api.EncodeFrame(m)
	target := w.hosts[to]
	switch {
	case h.config.Client:
		if c := n.connect(h, to); c != nil {
			w.watcher.Sent(c.name, to, m)
			n.onConnection(c, h, c.node, frame)
		}
	case target != nil && !target.config.Client:
		w.watcher.Sent(h.Name, to, m)
		n.toPeer(h, target, frame)
	case n.named[to] != nil && n.named[to].node == h:
		c := n.named[to]
		w.watcher.Sent(h.Name, to, m)
		n.onConnection(c, h, c.client, frame)
	case target == nil && n.named[to] == nil:
		n.nobody(h, to)
	}
}

// toPeer sends from node to node: copies arrive when they do.
func (n *network) toPeer(h, target *Host, frame []byte) {
	copies := n.links.Send(n.now(), string(h.Name), string(target.Name), len(frame), netsim.Peer)
	if len(copies) == 0 && n.links.Cut(n.now(), string(h.Name), string(target.Name)) {
		n.world.watcher.CutOff(h.Name, target.Name)
	}
	for _, d := range copies {
		copied := frame
		if d.Damaged != netsim.Intact {
			copied = slices.Clone(frame)
			copied[d.Damaged/8] ^= 1 << (d.Damaged % 8)
		}
		n.world.Agenda.At(env.Time(d.At), func() { n.arrive(h.Name, target, copied) })
	}
}

// arrive hands a frame to whatever life the target now has.
func (n *network) arrive(from env.Endpoint, target *Host, frame []byte) {
	if !target.Up() {
		return
	}
	m, err := api.DecodeFrame(frame)
	if err != nil {
		return // damaged on the way; the sender repeats what mattered
	}
	w := n.world
	w.Digest.Note(w.Agenda.Now(), "deliver", string(from)+">"+string(target.Name), 0, frame)
	w.watcher.Delivered(from, target.Name, frame)
	target.call(target.life, func(p env.Process) { p.Receive(from, m) })
}

// connect gives the client's connection to a node, and makes it if there is none;
// nil if there is nobody.
func (n *network) connect(h *Host, to env.Endpoint) *connection {
	if c := n.live[pair{h.Name, to}]; c != nil && c.clientLife == h.life {
		return c
	}
	node := n.world.hosts[to]
	if node == nil || !node.Up() || n.severed(h.Name, to) {
		n.nobody(h, to)
		return nil
	}
	n.made++
	c := &connection{
		client: h, node: node, clientLife: h.life, nodeLife: node.life,
		name: env.Endpoint(fmt.Sprintf("%s#%d", h.Name, n.made)),
	}
	n.live[pair{h.Name, to}] = c
	n.named[c.name] = c
	return c
}

// nobody tells a process that there is nobody at an address.
func (n *network) nobody(h *Host, to env.Endpoint) {
	at, _ := n.links.Break(n.now(), string(h.Name), string(to))
	n.lose(h, h.life, to, at)
}

// onConnection sends from one end of a connection to the other, or breaks it.
func (n *network) onConnection(c *connection, from, to *Host, frame []byte) {
	if c.broken {
		return // this end has not noticed yet
	}
	arrivals := n.links.Send(n.now(), string(from.Name), string(to.Name), len(frame), netsim.Client)
	if len(arrivals) == 0 {
		n.sever(c)
		return
	}
	life, name := c.nodeLife, c.name
	if to == c.client {
		life, name = c.clientLife, c.node.Name
	}
	n.world.Agenda.At(env.Time(arrivals[0].At), func() {
		if !c.broken {
			n.deliver(name, to, life, frame)
		}
	})
}

func (n *network) deliver(from env.Endpoint, to *Host, life uint64, frame []byte) {
	w := n.world
	m, err := api.DecodeFrame(frame)
	if err != nil {
		panic(fmt.Sprintf("world: a frame of %d bytes on a connection does not decode", len(frame)))
	}
	w.Digest.Note(w.Agenda.Now(), "deliver", string(from)+">"+string(to.Name), 0, frame)
	w.watcher.Delivered(from, to.Name, frame)
	to.call(life, func(p env.Process) { p.Receive(from, m) })
}

// sever breaks a connection; each end notices in its own time.
func (n *network) sever(c *connection) {
	if c.broken {
		return
	}
	c.broken = true
	if n.severed(c.client.Name, c.node.Name) {
		n.world.watcher.CutOff(c.client.Name, c.node.Name)
	}
	atClient, atNode := n.links.Break(n.now(), string(c.client.Name), string(c.node.Name))
	n.world.Agenda.At(env.Time(atClient), func() {
		if at := (pair{c.client.Name, c.node.Name}); n.live[at] == c {
			delete(n.live, at)
		}
		n.lost(c.client, c.clientLife, c.node.Name)
	})
	n.world.Agenda.At(env.Time(atNode), func() {
		delete(n.named, c.name)
		n.lost(c.node, c.nodeLife, c.name)
	})
}

func (n *network) severed(client, node env.Endpoint) bool {
	now := n.now()
	return n.links.Cut(now, string(client), string(node)) || n.links.Cut(now, string(node), string(client))
}

func (n *network) lose(h *Host, life uint64, peer env.Endpoint, at netsim.Time) {
	n.world.Agenda.At(env.Time(at), func() { n.lost(h, life, peer) })
}

func (n *network) lost(h *Host, life uint64, peer env.Endpoint) {
	if h.alive(life) {
		n.world.Digest.Note(n.world.Agenda.Now(), "lost", string(h.Name)+" "+string(peer), life, nil)
		h.call(life, func(p env.Process) { p.Lost(peer) })
	}
}

// down breaks what led to a host whose process is gone.
func (n *network) down(h *Host) {
	for _, name := range slices.Sorted(maps.Keys(n.named)) {
		if c := n.named[name]; c.client == h || c.node == h {
			n.sever(c)
		}
	}
	if h.config.Client {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(n.world.hosts)) {
		peer := n.world.hosts[name]
		if peer == h || peer.config.Client || !peer.Up() || n.links.Cut(n.now(), string(h.Name), string(name)) {
			continue
		}
		at, _ := n.links.Break(n.now(), string(name), string(h.Name))
		n.lose(peer, peer.life, h.Name, at)
	}
}

// breakCut breaks the connections that cannot be, by the faults in force.
func (n *network) breakCut() {
	for _, name := range slices.Sorted(maps.Keys(n.named)) {
		if c := n.named[name]; n.severed(c.client.Name, c.node.Name) {
			n.sever(c)
		}
	}
}

// watchFlaps looks at the connections again whenever a flapping fault comes.
func (n *network) watchFlaps() {
	at, ok := n.links.NextFlap(n.now())
	if !ok || n.flap > n.now() && n.flap <= at {
		return
	}
	n.flap = at
	n.world.Agenda.At(env.Time(at), func() {
		n.breakCut()
		n.watchFlaps()
	})
}
