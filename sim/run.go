// Package sim runs a whole cluster and its clients from a plan, in one process and
// under virtual time, and gives the verdict on the run: from inside by the oracles,
// from outside by the checker on what the clients saw.
//
// A run has two phases: in the first, faults happen; then everything heals, and
// within a bound the cluster must be well again, every operation answered and
// every acknowledged record there. The same plan gives the same run, bit for bit,
// in any process.
//
// Package sim owns when faults strike and whom, and what counts as well again. One
// process runs one simulation at a time (see package world).
package sim

import (
	"errors"
	"fmt"
	"io"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/digest"
	"github.com/reprise-mq/reprise/sim/oracle"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/world"
)

// Names of failures that the run itself finds, beside those of oracle and checker.
const (
	// Panicked: a process panicked.
	Panicked oracle.Name = "panic"
	// NodeFailed: a node gave up, though nothing was done to it that it cannot
	// live with.
	NodeFailed oracle.Name = "node-failed"
	// Stuck: in the time allowed after the heal the cluster was not well again, an
	// operation not answered, or a partition not found by a client.
	Stuck oracle.Name = "stuck"
	// DamageLeft: so long after the heal a file of a node is still not as it was
	// written.
	DamageLeft oracle.Name = "damage-left"
	// NotRestored: a node says that it has restored a file, and the damage is still there.
	NotRestored oracle.Name = "not-restored"
	// DamageIgnored: a node serves, though a part of its journal that it needs and that
	// was synced is not as it was written.
	DamageIgnored oracle.Name = "damage-ignored"
	// AccessLost: a user or an ACL is not as was acknowledged.
	AccessLost oracle.Name = "access-lost"
)

// Options of a run. They do not change what happens in it, only how far it goes.
type Options struct {
	// Text takes the trace as lines; nil for none.
	Text io.Writer
	// BlackBox: the verdict is on what the clients saw, and on nothing else. What
	// an oracle finds, and what would be well again too late, ends nothing; only a
	// panic does, and a cluster that never comes about.
	BlackBox bool
	// Received: the result says what nodes and clients received, as a digest.
	Received bool
}

// run is one run under way.
type run struct {
	plan     *plan.Plan
	world    *world.World
	oracle   *oracle.Oracle
	recorder *histories.Recorder
	history  histories.History
	lines    *histories.Writer // of the history, into the trace
	// pending counts the operations under way.
	pending int
	// nextLook is when the wait for the cluster looks again.
	nextLook env.Time

	nodes   []*node
	clients []*client
	// readers is the consumer group of the run; nil if there is none.
	readers *readers
	admin   *admin
	// permissions that the admin gave.
	permissions []*permission
	// raw sends what our client would not; nil before anything is to be sent. rogues
	// counts the batches made for it.
	raw    *raw
	rogues int
	armed  []*armed
	// departures are the nodes that leave the cluster, or have left it.
	departures []*departure
	// cutting are the cuts in force that have hit nothing of a client's yet.
	cutting []int
	// since is the agenda's time at which the cluster was ready.
	since  env.Time
	ready  bool
	healed bool

	// blackBox: only what clients saw counts; see Options.
	blackBox bool
	// received is the digest of what nodes and clients received; nil if nobody asks.
	received *digest.Digest
	failure  *oracle.Violation
	counts   Counts
	story    []Event
}

// Run runs a plan to its end, or to the first thing that is wrong.
func Run(p *plan.Plan, o Options) *Result {
	d := digest.New(o.Text)
	r := &run{plan: p, blackBox: o.BlackBox, counts: newCounts()}
	r.world = world.New(p.Seed, p.Config.Network, d, watcher{r})
	defer r.world.Close()
	r.world.Failed = func(h *world.Host, what string) { r.fail(Panicked, "%s: %s", h.Name, what) }
	r.oracle = oracle.New(view{r})
	if r.blackBox || p.Unrestricted {
		r.oracle.Watching()
	}
	if o.Received {
		r.received = digest.New(nil)
	}
	r.recorder, r.lines = histories.NewRecorder(r.record), histories.NewWriter(noted{r})
	for _, phase := range []func(){r.found, r.safety, r.heal, r.balance, r.keepAll, r.blackout, r.finalReads, r.end} {
		if phase(); r.over() {
			break
		}
	}
	result := r.conclude()
	if err := d.Close(); err != nil {
		result.Reasons = append(result.Reasons, fmt.Sprintf("the trace could not be written: %v", err))
	}
	return result
}

// fail keeps the first failure; where only panics count, the first of those.
func (r *run) fail(name oracle.Name, format string, args ...any) {
	if r.failure == nil || r.blackBox && name == Panicked {
		r.failure = &oracle.Violation{Name: name, Message: fmt.Sprintf(format, args...), At: r.world.Agenda.Now()}
	}
}

// over reports whether something is wrong already.
func (r *run) over() bool { return r.violation() != nil }

// maxEvents is many times what a run takes. One that takes more goes round in
// circles, perhaps without any time passing.
const maxEvents = 3_000_000

// violation is what ends the run, nil if nothing does.
func (r *run) violation() *oracle.Violation {
	switch v := r.oracle.Violation(); {
	case v != nil && !r.blackBox && !r.plan.Unrestricted:
		return v
	case r.failure != nil && (r.failure.Name == Panicked || !r.ready || !r.blackBox):
		return r.failure
	}
	return nil
}

// until lets events happen until done, or for so long; it reports whether done came
// about.
func (r *run) until(limit env.Time, done func() bool) bool {
	came := false
	r.world.Run(r.world.Agenda.Now()+limit, func() bool {
		if r.world.Agenda.Taken() >= maxEvents {
			r.fail(Stuck, "%d events, and no end", maxEvents)
			return true
		}
		came = came || done()
		return came || r.over()
	})
	return came && !r.over()
}

// now is the time since the cluster was ready, as histories have it.
func (r *run) now() histories.Time {
	return histories.Time(max(r.world.Agenda.Now()-r.since, 0))
}

// at is the agenda's time of a moment of the plan.
func (r *run) at(t plan.Milliseconds) env.Time { return r.since + env.Time(t)*env.Millisecond }

// record takes an event of the history, which is part of the trace.
func (r *run) record(e histories.Event) {
	r.history.Append(e)
	switch e.Kind {
	case histories.Invoke:
		r.pending++
	case histories.Noted:
	default:
		r.pending--
	}
	switch {
	case r.readers == nil || !r.equalClocks():
	case e.Note != nil && e.Op == histories.Assigned:
		r.readers.begins(e.Note.Member, int32(e.Note.Partition))
	case e.Call != nil && e.Op == histories.Fetch && e.Call.Group != "":
		r.readers.handed(e.Call.Member, int32(e.Call.Partition))
	}
	r.told(e)
	if err := errors.Join(r.lines.Write(e), r.lines.Flush()); err != nil {
		panic(fmt.Sprintf("sim: event %d of the history cannot be written: %v", e.Index, err))
	}
}

// noted puts the lines of the history into the trace.
type noted struct{ *run }

func (n noted) Write(line []byte) (int, error) {
	n.world.Digest.Note(n.world.Agenda.Now(), "client", "", 0, line)
	return len(line), nil
}

// safety lets clients work and faults strike, until the time is over.
func (r *run) safety() {
	if r.plan.Workload.Retains() {
		r.recorder.Note(r.now(), histories.Note{Op: histories.Retention, Topic: r.plan.Workload.Topic})
	}
	for i := range r.plan.Faults {
		f := &r.plan.Faults[i]
		r.world.Agenda.At(r.at(f.At), func() { r.arm(i, f) })
	}
	for _, c := range r.clients {
		c.begin()
	}
	r.lookAround()
	r.until(env.Time(r.plan.Safety)*env.Millisecond, func() bool { return false })
}

// lookAround holds every state in memory against the logs, now and then.
func (r *run) lookAround() {
	for _, n := range r.nodes {
		n.look()
	}
	r.world.Agenda.After(env.Second, r.lookAround)
}
