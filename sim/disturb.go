package sim

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/netsim"
	"github.com/reprise-mq/reprise/sim/plan"
)

// disturb puts a fault of the network in force, until its length has passed.
func (r *run) disturb(a *armed) bool {
	n := a.node
	if n == nil {
		return false
	}
	if a.fault.Kind != plan.Weather {
		r.cutting = append(r.cutting, a.index)
	}
	r.world.StartFault(a.index, r.links(a))
	target := string(n.host.Name)
	if a.fault.Kind == plan.Weather {
		a.node, target = nil, "all links"
	}
	r.noteFault(a.fault, target, histories.Begin)
	r.later(a, func() {
		r.world.HealFault(a.index)
		r.cutting = slices.DeleteFunc(r.cutting, func(i int) bool { return i == a.index })
	})
	return true
}

// links says which links a fault is on, and what is wrong with them.
func (r *run) links(a *armed) netsim.Fault {
	me := string(a.node.host.Name)
	nodes, clients := r.others(a.node), r.clientNames()
	length := netsim.Time(env.Time(a.fault.Length) * env.Millisecond)
	switch a.fault.Kind {
	case plan.Weather:
		return netsim.Fault{Worse: a.fault.Worse}
	case plan.CutOff:
		return netsim.Fault{Sides: netsim.Isolate(me, append(nodes, clients...)), Cut: true}
	case plan.OneWay:
		sides := netsim.Isolate(me, nodes)
		if a.fault.Inward {
			sides[0], sides[1] = sides[1], sides[0]
		}
		return netsim.Fault{Sides: sides, OneWay: true, Cut: true}
	case plan.Bridge, plan.Ring:
		return netsim.Fault{Sides: notTransitive(a.fault.Kind, me, nodes), OneWay: a.fault.OneWay, Cut: true}
	case plan.CutPair:
		other := nodes[r.draw(a.fault, drawPeer, int64(len(nodes)))]
		return netsim.Fault{Sides: [][]string{{me}, {other}}, Cut: true}
	case plan.Flap:
		return netsim.Fault{Sides: netsim.Isolate(me, nodes), Cut: true, Flap: length / netsim.Time(max(a.fault.Strength, 1))}
	case plan.CutClients:
		return netsim.Fault{Sides: [][]string{{me}, clients}, Cut: true}
	case plan.CutClient:
		return netsim.Fault{Sides: [][]string{{me}, {clients[a.fault.Client%len(clients)]}}, Cut: true}
	}
	return netsim.Fault{Sides: netsim.Isolate(me, nodes), Cut: true}
}

// notTransitive are the sides of a bridge or a ring: nodes that see each other see
// others that do not.
func notTransitive(kind plan.Kind, me string, nodes []string) [][]string {
	if kind == plan.Ring {
		return netsim.Ring(append(nodes, me))
	}
	half := len(nodes) / 2
	return netsim.Bridge(me, nodes[:half], nodes[half:])
}

// others names the nodes but one.
func (r *run) others(n *node) []string {
	var names []string
	for _, other := range r.nodes {
		if other != n {
			names = append(names, string(other.host.Name))
		}
	}
	return names
}

func (r *run) clientNames() []string {
	var names []string
	for _, c := range r.clients {
		names = append(names, string(c.host.Name))
	}
	return names
}
