package sim

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/world"
)

// raw is a client without a core: it says to a node what it likes, and hears the answer
// as it is. It is the process of its host.
type raw struct {
	run     *run
	host    *world.Host
	network env.Network
	next    uint64
	waits   map[uint64]*wait
}

// wait is a request without an answer so far.
type wait struct {
	node env.Endpoint
	done func(*api.Response) // is given nil if there is no answer, or none that is heard
}

// rawName is the raw client's host.
const rawName = "raw"

// rawPatience is how long a raw request waits for its answer.
const rawPatience = 3 * env.Second

// addRaw gives the cluster a raw client, when one is needed first.
func (r *run) addRaw() {
	if r.raw != nil {
		return
	}
	c := &raw{run: r, host: r.clientHost(rawName), waits: make(map[uint64]*wait)}
	c.host.Start(func(p world.Place) env.Process {
		c.network = p.Network
		return c
	})
	r.raw = c
}

// ask sends a request to a node; done is called once.
func (c *raw) ask(node env.Endpoint, q *api.Request, done func(*api.Response)) {
	c.next++
	id := c.next
	q.Id = id
	c.waits[id] = &wait{node, done}
	c.host.Do(func(env.Process) { c.network.Send(node, &api.Message{Body: &api.Message_Request{Request: q}}) })
	c.run.world.Agenda.After(rawPatience, func() { c.end(id, nil) })
}

func (c *raw) end(id uint64, answer *api.Response) {
	if w := c.waits[id]; w != nil {
		delete(c.waits, id)
		w.done(answer)
	}
}

// Receive is part of env.Process.
func (c *raw) Receive(_ env.Endpoint, m *api.Message) {
	if answer := m.GetResponse(); answer != nil {
		c.end(answer.GetId(), answer)
	}
}

// Lost is part of env.Process.
func (c *raw) Lost(node env.Endpoint) {
	for _, id := range slices.Sorted(maps.Keys(c.waits)) {
		if w := c.waits[id]; w != nil && w.node == node {
			c.end(id, nil)
		}
	}
}

// The rest of env.Process, of which a raw client has no need.
func (c *raw) Wake()                                    {}
func (c *raw) Synced(env.Ticket, error)                 {}
func (c *raw) Loaded(env.Ticket, []byte, error)         {}
func (c *raw) Listed(env.Ticket, []env.FileInfo, error) {}
func (c *raw) Flush()                                   {}
