package netsim

import (
	"fmt"
	"slices"
)

// Fault is something wrong with some links, as data.
type Fault struct {
	// Sides say which links. Both ends of a link must be named, and no side may
	// name both: links within a side are whole. An endpoint may stand on several
	// sides, which makes bridges and rings. No sides at all means every link.
	Sides [][]string `json:"sides,omitempty"`
	// OneWay takes only links whose sender stands on the earlier side (by its first
	// side, if it stands on several).
	OneWay bool `json:"one_way,omitempty"`
	// Flap, if above 0, is how long the fault is there, then gone, then there.
	Flap Time `json:"flap,omitempty"`
	// Cut: the links carry nothing.
	Cut bool `json:"cut,omitempty"`
	// Worse is added to the network's own profile: times and chances sum up, the
	// limits of a chance and the narrowest bandwidth win.
	Worse Profile `json:"worse,omitzero"`
}

// Isolate are the sides of a fault on every link between a node and the others.
func Isolate(node string, others []string) [][]string {
	return [][]string{{node}, slices.Clone(others)}
}

// Bridge are the sides of a fault between left and right, which still meet in the
// middle.
func Bridge(middle string, left, right []string) [][]string {
	return [][]string{append(slices.Clone(left), middle), append(slices.Clone(right), middle)}
}

// Ring are the sides of a fault on every link but those between neighbours; it
// takes four nodes for any to be hit.
func Ring(nodes []string) [][]string {
	sides := make([][]string, len(nodes))
	for i := range nodes {
		sides[i] = []string{nodes[i], nodes[(i+1)%len(nodes)]}
	}
	return sides
}

// inForce is a fault since a time.
type inForce struct {
	id    int
	since Time
	fault Fault
}

// Check says what is wrong with a fault that was written by hand.
func (f *Fault) Check() error {
	if f.Flap < 0 || f.Flap > maxTime {
		return fmt.Errorf("network fault: flap is %d ns; it is from 0 to an hour", f.Flap)
	}
	if len(f.Sides) == 1 {
		return fmt.Errorf("network fault: one side; name two or more, or none for every link")
	}
	return f.Worse.Check()
}

// Start puts a fault in force. The caller chooses the id, which no other fault in
// force may have; the fault must pass its Check.
func (n *Network) Start(now Time, id int, fault Fault) {
	must(fault.Check())
	for _, f := range n.faults {
		if f.id == id {
			panic(fmt.Sprintf("netsim: fault %d is in force already", id))
		}
	}
	n.faults = append(n.faults, inForce{id, now, fault})
}

// Heal ends a fault; one that is not in force stays so.
func (n *Network) Heal(id int) {
	n.faults = slices.DeleteFunc(n.faults, func(f inForce) bool { return f.id == id })
}

// Cut reports whether a message sent now would be dropped by a cut. A connection
// needs both ways: whoever keeps connections asks after each Start of a cut and at
// each NextFlap.
func (n *Network) Cut(now Time, from, to string) bool {
	_, cut := n.conditions(now, from, to)
	return cut
}

// NextFlap is the next time after now at which a flapping fault comes or goes.
func (n *Network) NextFlap(now Time) (at Time, ok bool) {
	for _, f := range n.faults {
		if f.fault.Flap == 0 {
			continue
		}
		next := f.since + ((now-f.since)/f.fault.Flap+1)*f.fault.Flap
		if !ok || next < at {
			at, ok = next, true
		}
	}
	return at, ok
}

// conditions are how a link is now.
func (n *Network) conditions(now Time, from, to string) (p Profile, cut bool) {
	p = n.profile
	for i := range n.faults {
		f := &n.faults[i]
		if f.there(now) && f.fault.selects(from, to) {
			p.worsen(&f.fault.Worse)
			cut = cut || f.fault.Cut
		}
	}
	return p, cut
}

func (f *inForce) there(now Time) bool {
	return f.fault.Flap == 0 || (now-f.since)/f.fault.Flap%2 == 0
}

func (f *Fault) selects(from, to string) bool {
	if len(f.Sides) == 0 {
		return true
	}
	firstFrom, firstTo := -1, -1
	for i, side := range f.Sides {
		hasFrom, hasTo := slices.Contains(side, from), slices.Contains(side, to)
		if hasFrom && hasTo {
			return false
		}
		if hasFrom && firstFrom < 0 {
			firstFrom = i
		}
		if hasTo && firstTo < 0 {
			firstTo = i
		}
	}
	if firstFrom < 0 || firstTo < 0 {
		return false
	}
	return !f.OneWay || firstFrom < firstTo
}
