package sim

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/disk"
)

// view is what the oracle sees of the world.
type view struct{ *run }

// Now is part of oracle.World.
func (v view) Now() env.Time { return v.world.Agenda.Now() }

// Disk is part of oracle.World.
func (v view) Disk(host env.Endpoint) *disk.Disk { return v.named(host).host.Disk }

// watcher shows everything to the oracle first, then to the faults that wait for
// their moment.
type watcher struct{ *run }

// Called is part of world.Watcher.
func (w watcher) Called(host env.Endpoint, op disk.Operation) {
	w.oracle.Called(host, op)
	if op.Kind == disk.Sync && len(w.armed) > 0 {
		w.synced(host)
	}
}

// Durable is part of world.Watcher.
func (w watcher) Durable(host env.Endpoint, op disk.Operation) { w.oracle.Durable(host, op) }

// Sent is part of world.Watcher.
func (w watcher) Sent(from, to env.Endpoint, m *api.Message) {
	w.oracle.Sent(from, to, m)
	if w.readers != nil {
		w.readers.sent(from, to, m)
	}
	if q := m.GetRequest().GetCopySegment(); q != nil {
		w.asksForCopy(from, q)
	}
	if p := m.GetPeer(); p != nil && len(w.armed) > 0 {
		w.sent(from, p)
	}
}

// CutOff is part of world.Watcher.
func (w watcher) CutOff(_, _ env.Endpoint) {
	if w.pending > 0 {
		w.counts.Cuts += len(w.cutting)
		w.cutting = nil
	}
}

// Returned is part of world.Watcher.
func (w watcher) Returned(env.Endpoint) { w.oracle.Returned() }

// Names of events of a node.
const (
	becameLeader = "became leader"
	nodeFailed   = "node failed"
	nodeServes   = "node serves"
)

// leader notes beside the history that a node leads a group.
func (r *run) leader(n *node, e trace.Event) {
	if !r.ready {
		return
	}
	note := histories.Note{Op: histories.Leader, Term: e.Term, Node: api.NodeID(n.number)}
	for _, t := range r.oracle.Topics() {
		for i, g := range t.Groups {
			if g == e.Group {
				note.Topic, note.Partition = r.recorded(t.Name, t.Nth), api.Partition(i)
			}
		}
	}
	if note.Topic == "" && e.Group != api.MetaGroup {
		return
	}
	r.recorder.Note(r.now(), note)
}

// recorded is the name that an incarnation of a topic has in the history.
func (r *run) recorded(name string, nth int) string {
	if name == r.plan.Workload.Topic {
		return name
	}
	return fmt.Sprintf("%s.%d", name, nth)
}

// Event is something that an account of the run names.
type Event struct {
	// At is virtual milliseconds since the cluster was ready, below 0 before.
	At   int64  `json:"at_ms"`
	Who  string `json:"who,omitempty"`
	What string `json:"what"`
}

// maxStory bounds the account of a run.
const maxStory = 20_000

// tell adds to the account of the run.
func (r *run) tell(who, format string, args ...any) {
	if len(r.story) < maxStory {
		at := int64(r.world.Agenda.Now() / env.Millisecond)
		r.story = append(r.story, Event{At: at, Who: who, What: fmt.Sprintf(format, args...)})
	}
}

func eventDetail(e trace.Event) string {
	text := ""
	if e.Replica != 0 {
		text += fmt.Sprintf(" of group %d in term %d", e.Group, e.Term)
	}
	if e.Index != 0 {
		text += fmt.Sprintf(" at index %d", e.Index)
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}
