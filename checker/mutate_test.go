package checker_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/prng"
)

// mutation makes a legal history of one partition illegal in one way.
type mutation struct {
	name string
	// apply changes the history and the facts, or says that this one offers no
	// occasion.
	apply func(m *mutator) bool
	// want are the anomalies that must be named; also those that may be.
	want, also []checker.Name
	// facts: the checker is given them.
	facts bool
}

// mutator is a legal history that is about to be changed.
type mutator struct {
	rng   *prng.Stream
	h     *histories.History
	facts *checker.Facts
}

// mutationSeeds is how many histories each mutation is tried on.
const mutationSeeds = 60

// Each way to break a history is named, and nothing else is.
func TestMutations(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			applied := 0
			for seed := range uint64(mutationSeeds) {
				if mutateOnce(t, &m, seed) {
					applied++
				}
			}
			if applied < mutationSeeds/4 {
				t.Errorf("applied to %d of %d histories only", applied, mutationSeeds)
			}
		})
	}
}

// mutateOnce breaks one history and judges it; it says whether it could.
func mutateOnce(t *testing.T, m *mutation, seed uint64) bool {
	h, facts := generate(seed, shape{
		clients: 4, steps: 250, partitions: 1, batch: 1 + int(seed%3), failing: 5,
		unknown: int64(10 * (seed % 2)), deletes: int64(2 * (seed % 2)), most: 5, final: true,
	})
	rng := prng.New(seed).Split(m.name)
	if !m.apply(&mutator{rng, h, facts}) {
		return false
	}
	if !m.facts {
		facts = nil
	}
	report := checker.Check(h, facts, checker.Options{})
	var got []checker.Name
	for _, a := range report.Anomalies {
		if !slices.Contains(got, a.Name) {
			got = append(got, a.Name)
		}
		if len(a.Witness) == 0 && !m.facts {
			t.Errorf("seed %d: %s has no witness", seed, a.Name)
		}
	}
	for _, name := range m.want {
		if !slices.Contains(got, name) {
			t.Fatalf("seed %d: %s is not named, only %v\n%s", seed, name, got, show(h))
		}
	}
	for _, name := range got {
		if !slices.Contains(m.want, name) && !slices.Contains(m.also, name) {
			t.Fatalf("seed %d: %s is named as well: %+v\n%s", seed, name, report.Anomalies, show(h))
		}
	}
	if report.Anomalies[0].Name != checker.MalformedHistory {
		explainable(t, h, &report)
	}
	return true
}

// explainable: every report can be told and drawn, and is JSON.
func explainable(t *testing.T, h *histories.History, r *checker.Report) {
	var text bytes.Buffer
	if err := checker.Explain(&text, h, r); err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Anomalies {
		if !bytes.Contains(text.Bytes(), []byte(a.Message)) {
			t.Fatalf("the explanation does not tell %q", a.Message)
		}
	}
	if err := checker.Visualize(&text, h, checker.Key{Topic: topicName}, r); err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
}

var mutations = []mutation{
	{name: "drop inside a fetch", want: names(checker.IntPollSkip), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool { return !m.final(e) && len(m.records(e)) > 2 })
		if e != nil {
			e.Answer.Records = slices.Delete(e.Answer.Records, 1, 2)
		}
		return e != nil
	}},
	{name: "drop the first of a fetch", want: names(checker.PollSkip), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool { return !m.final(e) && len(m.records(e)) > 1 })
		if e != nil {
			e.Answer.Records = e.Answer.Records[1:]
		}
		return e != nil
	}},
	{name: "lose a write", want: names(checker.LostWrite), also: names(checker.IntPollSkip, checker.PollSkip, checker.StaleRead),
		apply: func(m *mutator) bool {
			e := m.pick(func(e *histories.Event) bool {
				return e.Op == histories.Produce && e.Kind == histories.Ok && e.Answer.Offset >= m.start() && e.Answer.Offset+4 < m.end()
			})
			if e == nil {
				return false
			}
			m.drop(func(r histories.Record) bool { return r.Offset == e.Answer.Offset })
			return true
		}},
	{name: "lose the end", want: names(checker.Unseen, checker.StaleRead), apply: func(m *mutator) bool {
		last := m.find(func(e *histories.Event) bool {
			return e.Op == histories.Produce && e.Kind == histories.Ok && e.Answer.Offset+api.Offset(len(m.call(e).Values)) == m.end()
		})
		if last == nil {
			return false
		}
		m.cutFinalRead(last.Answer.Offset)
		return true
	}},
	{name: "duplicate", want: names(checker.Duplicate), apply: func(m *mutator) bool {
		return m.extendFinalRead(m.facts.Logs[0].Records[m.rng.Below(int64(m.end()))].Value)
	}},
	{name: "phantom", want: names(checker.Phantom), apply: func(m *mutator) bool { return m.extendFinalRead(1_000_000) }},
	{name: "swap two values in a fetch", want: names(checker.Duplicate, checker.InconsistentOffsets), also: torn, apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool { return len(m.records(e)) > 1 && !m.final(e) })
		if e != nil {
			e.Answer.Records[0].Value, e.Answer.Records[1].Value = e.Answer.Records[1].Value, e.Answer.Records[0].Value
		}
		return e != nil
	}},
	{name: "turn a fetch round", want: names(checker.IntNonmonotonicPoll), also: names(checker.IntPollSkip), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool { return len(m.records(e)) > 3 && !m.final(e) })
		if e != nil {
			r := e.Answer.Records
			r[1], r[2] = r[2], r[1]
		}
		return e != nil
	}},
	{name: "begin a fetch too early", want: names(checker.NonmonotonicPoll), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool {
			return m.call(e).Offset > m.start() && len(m.records(e)) > 0 && !m.final(e)
		})
		if e != nil {
			before := m.facts.Logs[0].Records[m.call(e).Offset-1]
			e.Answer.Records = append([]histories.Record{before}, e.Answer.Records...)
		}
		return e != nil
	}},
	{name: "go stale", want: names(checker.StaleRead), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool {
			return e.Op == histories.Produce && e.Kind == histories.Ok && e.Answer.Offset >= m.start()
		})
		return e != nil && m.tell(histories.Call{Op: histories.Fetch, Offset: e.Answer.Offset}, histories.Answer{HighWatermark: e.Answer.Offset, LogStart: m.start()})
	}},
	{name: "end goes back", want: names(checker.EndOffsetRegress), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool { return e.Op == histories.Produce && e.Kind == histories.Ok })
		return e != nil && m.tell(histories.Call{Op: histories.ListOffsets}, histories.Answer{Offset: e.Answer.Offset})
	}},
	{name: "end goes ahead", want: names(checker.Nonlinearizable), facts: true, apply: func(m *mutator) bool {
		return m.tell(histories.Call{Op: histories.ListOffsets}, histories.Answer{Offset: m.end() + 1})
	}},
	{name: "log start goes back", want: names(checker.LogStartRegress), apply: func(m *mutator) bool {
		return m.start() > 0 && m.tell(histories.Call{Op: histories.ListOffsets, Spec: api.OffsetSpec_EARLIEST}, histories.Answer{Offset: m.start() - 1})
	}},
	{name: "log start moves by itself", want: names(checker.UnexplainedLogStart), apply: func(m *mutator) bool {
		deletes := m.find(func(e *histories.Event) bool { return e.Op == histories.DeleteRecords })
		return deletes == nil && m.tell(histories.Call{Op: histories.ListOffsets, Spec: api.OffsetSpec_EARLIEST}, histories.Answer{Offset: 1})
	}},
	{name: "corrupt", want: names(checker.Corrupted), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool { return len(m.records(e)) > 0 })
		if e != nil {
			e.Answer.Records[m.rng.Below(int64(len(e.Answer.Records)))].Corrupt = true
		}
		return e != nil
	}},
	{name: "a failure turns visible", want: names(checker.G1a), apply: func(m *mutator) bool {
		return m.failProduce(api.Code_OVERLOADED)
	}},
	{name: "a failure turns up in the log", want: names(checker.DefiniteError), facts: true, apply: func(m *mutator) bool {
		return m.failProduce(api.Code_OVERLOADED)
	}},
	{name: "a failure that is none", want: names(checker.DefiniteError, checker.G1a), apply: func(m *mutator) bool {
		return m.failProduce(api.Code_TIMED_OUT)
	}},
	{name: "acknowledge at another offset", want: names(checker.Duplicate, checker.InconsistentOffsets), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool {
			return e.Op == histories.Produce && e.Kind == histories.Ok && e.Answer.Offset > m.start()
		})
		if e != nil {
			e.Answer.Offset--
		}
		return e != nil
	}},
	{name: "order of a process", want: names(checker.NonmonotonicSend, checker.Nonlinearizable), also: names(checker.EndOffsetRegress, checker.StaleRead), apply: func(m *mutator) bool {
		return m.exchangeSends()
	}},
	{name: "order inside a batch", want: names(checker.IntNonmonotonicSend), apply: func(m *mutator) bool {
		e := m.pick(func(e *histories.Event) bool {
			return e.Kind == histories.Invoke && e.Op == histories.Produce && len(e.Call.Values) == 2 &&
				m.outcome(e) == histories.Info && m.seen(e.Call.Values[0])
		})
		if e != nil {
			v := e.Call.Values
			v[0], v[1] = v[1], v[0]
		}
		return e != nil
	}},
	{name: "read before it was sent", want: names(checker.Nonlinearizable), also: names(checker.NonmonotonicSend), apply: func(m *mutator) bool {
		return m.sendLater()
	}},
	{name: "the log loses its end", want: names(checker.LostWrite), facts: true, apply: func(m *mutator) bool {
		log := &m.facts.Logs[0]
		log.Records = log.Records[:len(log.Records)-1]
		return true
	}},
	{name: "a value sent twice", want: names(checker.MalformedHistory), facts: true, apply: func(m *mutator) bool {
		a := m.pick(func(e *histories.Event) bool { return e.Kind == histories.Invoke && e.Op == histories.Produce })
		b := m.pick(func(e *histories.Event) bool {
			return e.Kind == histories.Invoke && e.Op == histories.Produce && e != a
		})
		if a == nil || b == nil {
			return false
		}
		b.Call.Values[0] = a.Call.Values[0]
		return true
	}},
}

// torn are the names of batches that do not stand as they were sent.
var torn = names(checker.IntSendSkip, checker.IntNonmonotonicSend)

func names(list ...checker.Name) []checker.Name { return list }
