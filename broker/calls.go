package broker

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// calls are the requests that this node has sent to others and that wait for an
// answer.
type calls struct {
	node    *Node
	last    uint64
	waiting map[uint64]call
}

type call struct {
	to   env.Endpoint
	done func(*api.Response)
}

// callPatience is how long a node waits for another's answer.
const callPatience = 2 * env.Second

func (c *calls) init(n *Node) {
	c.node = n
	// A response to an earlier life must not be taken for one to this.
	c.last = n.world.Random.Uint64() >> 16
	c.waiting = make(map[uint64]call)
}

// send asks another node, and calls done exactly once: with its answer, or with
// an error of the link's.
func (c *calls) send(to env.Endpoint, request *api.Request, done func(*api.Response)) {
	c.last++
	id := c.last
	request.Id = id
	c.waiting[id] = call{to, done}
	c.node.world.Network.Send(to, &api.Message{Body: &api.Message_Request{Request: request}})
	c.node.timers.at(c.node.world.Clock.Now()+callPatience, func() {
		c.finish(id, &api.Response{Error: api.Errorf(api.Code_TIMED_OUT, "no answer from %s", to)})
	})
}

// answered takes a response; one that nobody waits for any more is dropped.
func (c *calls) answered(from env.Endpoint, response *api.Response) {
	if waiting, ok := c.waiting[response.GetId()]; ok && waiting.to == from {
		c.finish(response.GetId(), response)
	}
}

// lost fails what waits for an endpoint.
func (c *calls) lost(peer env.Endpoint) {
	for _, id := range slices.Sorted(maps.Keys(c.waiting)) {
		if c.waiting[id].to == peer {
			c.finish(id, &api.Response{Error: api.Errorf(api.Code_DISCONNECTED, "link to %s broke", peer)})
		}
	}
}

func (c *calls) finish(id uint64, response *api.Response) {
	if waiting, ok := c.waiting[id]; ok {
		delete(c.waiting, id)
		waiting.done(response)
	}
}
