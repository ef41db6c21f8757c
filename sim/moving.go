package sim

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/oracle"
)

// Names of failures that have to do with moving parts.
const (
	// CopyWentBack: a node that copies a log shows less of it than before.
	CopyWentBack oracle.Name = "copy-went-back"
	// CopiedTooFast: a node copies more of others' segments than it may.
	CopiedTooFast oracle.Name = "copied-too-fast"
	// Unbalanced: so long after the heal, nodes do not lead equally many partitions, or
	// others than the preferred leaders lead.
	Unbalanced oracle.Name = "unbalanced"
	// Restless: in a cluster that is well and balanced, leadership changes hands.
	Restless oracle.Name = "restless"
)

// goesOn holds what a node shows of the logs that it copies against what it showed before.
func (n *node) goesOn(views []broker.GroupView) {
	for i := range views {
		v := &views[i]
		if v.CopyBytes == 0 {
			continue
		}
		if v.Copied < n.copying[v.Group] || v.Copied > v.CopyBytes {
			n.run.fail(CopyWentBack, "%s has copied %d of %d bytes of group %d, and had %d before", n.host.Name, v.Copied, v.CopyBytes, v.Group, n.copying[v.Group])
		}
		n.copying[v.Group] = v.Copied
	}
}

// bucket counts bytes that run out at a rate.
type bucket struct {
	bytes int64
	at    env.Time
}

// add lets run out what has since the last time, and adds bytes.
func (b *bucket) add(now env.Time, rate, bytes int64) {
	ran := rate * int64((now-b.at)/env.Microsecond) / int64(env.Second/env.Microsecond)
	b.bytes, b.at = max(b.bytes-ran, 0)+bytes, now
}

// asksForCopy notes that a node asks for a piece of another's segment. It may do so at its
// rate, by a clock that runs a tenth too fast at most, with one piece and what gathers in a
// fifth of a second ahead; as much gathers again at once when a clock that stood still goes on.
func (r *run) asksForCopy(host env.Endpoint, q *api.CopySegmentRequest) {
	n := r.named(host)
	if n == nil || r.plan.Config.CopyRate == 0 {
		return
	}
	rate := r.plan.Config.CopyRate * 11 / 10
	n.copied.add(r.world.Agenda.Now(), rate, int64(q.GetLength()))
	most := rate/4 + int64(n.config().CopyBytes)
	if r.world.Agenda.Now() < n.leapt {
		most += rate / 4
	}
	if n.copied.bytes > most {
		r.fail(CopiedTooFast, "%s is %d bytes ahead of the %d a second that it may copy", n.host.Name, n.copied.bytes, r.plan.Config.CopyRate)
	}
}

// rest is how long a cluster that is well has to stand still.
const rest = 8 * env.Second

// balance waits, where the cluster has changed all the time, until nodes lead equally many
// partitions; then no leadership may change hands.
func (r *run) balance() {
	if !r.plan.Workload.Moves() || r.plan.Unrestricted {
		return
	}
	for restless := true; restless && !r.over(); {
		if !r.until(r.liveness(), func() bool { return r.converged() && r.unbalanced() == "" }) {
			r.fail(Unbalanced, "%d ms after all was well: %s", r.plan.Liveness, r.unbalanced())
			return
		}
		r.tell("", "leaders are balanced")
		elections, failures := r.counts.Marks[becameLeader], r.counts.Marks[nodeFailed]
		restless = r.until(rest, func() bool { return r.counts.Marks[becameLeader] != elections })
		// A write that failed before the heal is told by the next sync of its file, which
		// may come only now; who ends a node so may have led.
		if restless && r.counts.Marks[nodeFailed] == failures {
			r.fail(Restless, "leadership changed hands, in a cluster that is well and whose leaders were balanced")
		}
	}
}

// unbalanced says which partition is not led as it should be, "" if all are.
func (r *run) unbalanced() string {
	m := r.oracle.Meta()
	preferred := make(map[api.NodeID]int)
	for _, t := range m.Topics() {
		for _, p := range t.Partitions {
			preferred[p.Replicas[0].Node]++
		}
	}
	for _, t := range m.Topics() {
		for _, p := range t.Partitions {
			first := p.Replicas[0].Node
			if host, _, ok := r.oracle.Leader(p.Group); !ok || r.id(r.named(host)) != first {
				return fmt.Sprintf("%s is led by %s, and node %d is its preferred leader", p, host, first)
			}
			if p.Replicas[0].Elected {
				continue
			}
			for _, other := range p.Replicas {
				if preferred[first] > preferred[other.Node]+1 {
					return fmt.Sprintf("node %d is to lead %d partitions, %s among them, and node %d is to lead %d",
						first, preferred[first], p, other.Node, preferred[other.Node])
				}
			}
		}
	}
	return ""
}
