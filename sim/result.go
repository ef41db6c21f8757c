package sim

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/oracle"
)

// Counts is what happened in a run.
type Counts struct {
	// Faults that fired, by kind.
	Faults map[string]int `json:"faults"`
	// Marks: events that the code under test told of, by name.
	Marks map[string]int `json:"marks"`
	// Events of the agenda.
	Events uint64 `json:"events"`
	// LossyCrashes took unsynced bytes, LostBytes in all; TornWrites survived in
	// part.
	LossyCrashes int `json:"lossy_crashes"`
	LostBytes    int `json:"lost_bytes"`
	TornWrites   int `json:"torn_writes"`
	// Cuts that dropped a message or broke a connection while an operation of a
	// client was under way.
	Cuts int `json:"cuts"`
	// ReadyMillis is how long the cluster took to be ready, from which the times of
	// plan and history count.
	ReadyMillis int64 `json:"ready_ms"`
	// HealMillis is how long the cluster took to be well again at most.
	HealMillis int64 `json:"heal_ms"`
	// FinalRead: every partition was read to its end.
	FinalRead bool         `json:"final_read"`
	Checked   oracle.Stats `json:"checked"`
}

func newCounts() Counts { return Counts{Faults: make(map[string]int), Marks: make(map[string]int)} }

// Result is the verdict on a run, with what led to it.
type Result struct {
	Seed    uint64          `json:"seed"`
	Verdict checker.Verdict `json:"verdict"`
	// Violation is what an oracle found, nil if nothing.
	Violation *oracle.Violation `json:"violation,omitempty"`
	// Reasons say why a run without a failure is weak or unknown.
	Reasons []string `json:"reasons,omitempty"`
	// Trace is the digest of everything that happened.
	Trace string `json:"trace"`
	// Received is the digest of what nodes and clients received alone, and when; ""
	// unless it was asked for. A fault that it does not change had no effect.
	Received      string         `json:"received,omitempty"`
	VirtualMillis int64          `json:"virtual_ms"`
	Counts        Counts         `json:"counts"`
	Report        checker.Report `json:"report"`
	// Concerned is the record that the violation is about, nil where it is about none.
	Concerned *Concerned `json:"concerned,omitempty"`

	History *histories.History `json:"-"`
	Story   []Event            `json:"-"`
}

// conclude weighs what oracles and checker found.
func (r *run) conclude() *Result {
	r.counts.Events = r.world.Agenda.Taken()
	r.counts.Checked = r.oracle.Stats()
	r.counts.ReadyMillis = int64(r.since / env.Millisecond)
	result := &Result{
		Seed: r.plan.Seed, Trace: r.world.Digest.String(), Counts: r.counts,
		VirtualMillis: int64(r.world.Agenda.Now() / env.Millisecond),
		History:       &r.history, Story: r.story,
	}
	if r.received != nil {
		result.Received = r.received.String()
	}
	for i := range r.story {
		r.story[i].At -= int64(r.since / env.Millisecond)
	}
	r.countActs()
	result.Violation = r.violation()
	result.Concerned = r.concerned(result.Violation)
	result.Report = checker.Check(&r.history, r.facts(result.Violation == nil && !r.blackBox && !r.plan.Unrestricted), r.options())
	result.Verdict, result.Reasons = result.Report.Verdict, result.Report.Reasons
	if missed := r.unstaged(); len(missed) > 0 && result.Verdict == checker.Pass {
		result.Verdict, result.Reasons = checker.Weak, missed
	}
	if result.Violation != nil {
		result.Verdict, result.Reasons = checker.Fail, nil
	}
	return result
}

// unstaged says what of the plan's scenario never came about.
func (r *run) unstaged() (missed []string) {
	s := r.plan.Scenario
	if s == nil {
		return nil
	}
	for _, kind := range s.Kinds {
		if r.counts.Faults[string(kind)] == 0 {
			missed = append(missed, fmt.Sprintf("scenario %s: no fault %s fired", s.Name, kind))
		}
	}
	return missed
}

// Concerned is a record as the clients know it.
type Concerned struct {
	Key checker.Key `json:"partition"`
	histories.Record
}

// concerned finds the record that a violation is about.
func (r *run) concerned(v *oracle.Violation) *Concerned {
	if v == nil || v.Record == nil {
		return nil
	}
	for _, t := range r.oracle.Topics() {
		if i := slices.Index(t.Groups, v.Record.Group); i >= 0 {
			first := readBatch(v.Record.Offset, v.Record.Batch)[0]
			return &Concerned{checker.Key{Topic: r.recorded(t.Name, t.Nth), Partition: api.Partition(i)}, first}
		}
	}
	return nil
}

// countActs counts the administrative acts that clients did as operations.
func (r *run) countActs() {
	names := map[histories.Op]string{
		histories.CreateTopic: "create-topic", histories.DeleteTopic: "delete-topic", histories.DeleteRecords: "delete-records",
	}
	for i := range r.history.Events {
		e := &r.history.Events[i]
		if name := names[e.Op]; name != "" && e.Kind == histories.Ok {
			r.counts.Faults[name]++
		}
	}
}

// options say how the history is judged. A plan that someone has cut down is not
// asked for much.
func (r *run) options() checker.Options {
	var o checker.Options
	if r.plan.Small || r.plan.Unrestricted {
		return o
	}
	o.Thresholds = checker.Standard()
	if r.plan.Scenario != nil {
		return o // what it takes to come about is asked by unstaged
	}
	o.Run = &checker.Run{
		ProcessFaults: r.plan.Families.Process, NetworkFaults: r.plan.Families.Network,
		LeaderChanges: r.counts.Checked.Suffixes, LossyCrashes: r.counts.LossyCrashes, Cuts: r.counts.Cuts,
	}
	return o
}

// facts is what stands in the logs. A run that ended early has no end to speak of.
func (r *run) facts(whole bool) *checker.Facts {
	if !whole {
		return nil
	}
	f := &checker.Facts{}
	for _, t := range r.oracle.Topics() {
		for i, group := range t.Groups {
			log := checker.Log{Topic: r.recorded(t.Name, t.Nth), Partition: api.Partition(i)}
			r.oracle.Batches(group, func(base api.Offset, data []byte) {
				log.Records = append(log.Records, readBatch(base, data)...)
			})
			f.Logs = append(f.Logs, log)
		}
	}
	return f
}

// readBatch gives the records of a batch as a history has them.
func readBatch(base api.Offset, data []byte) []histories.Record {
	data = slices.Clone(data)
	batch.SetBaseOffset(data, base)
	all, err := batch.Records(data, codecs)
	if err != nil {
		return []histories.Record{{Offset: base, Value: histories.Unreadable, Corrupt: true}}
	}
	var records []histories.Record
	for i := range all {
		records = append(records, histories.ParsePayload(base+api.Offset(i), all[i].Value))
	}
	return records
}
