package checker_test

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

func (m *mutator) end() api.Offset { return api.Offset(len(m.facts.Logs[0].Records)) }

// start is the log start at the end of the run.
func (m *mutator) start() api.Offset {
	e := m.find(m.final)
	return m.call(e).Offset
}

// find gives the first event that fits, or nil; pick any of them.
func (m *mutator) find(fits func(*histories.Event) bool) *histories.Event {
	for i := range m.h.Events {
		if fits(&m.h.Events[i]) {
			return &m.h.Events[i]
		}
	}
	return nil
}

func (m *mutator) pick(fits func(*histories.Event) bool) *histories.Event {
	var all []*histories.Event
	for i := range m.h.Events {
		if fits(&m.h.Events[i]) {
			all = append(all, &m.h.Events[i])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[m.rng.Below(int64(len(all)))]
}

// call gives what the operation of an event asked for.
func (m *mutator) call(e *histories.Event) *histories.Call {
	for i := e.Index; ; i-- {
		if f := &m.h.Events[i]; f.Process == e.Process && f.Call != nil {
			return f.Call
		}
	}
}

// outcome gives how the operation that an event invokes ended.
func (m *mutator) outcome(e *histories.Event) histories.Kind {
	for i := e.Index + 1; int(i) < len(m.h.Events); i++ {
		if f := &m.h.Events[i]; f.Process == e.Process {
			return f.Kind
		}
	}
	return histories.Info
}

// records gives what a fetch returned, or nil.
func (m *mutator) records(e *histories.Event) []histories.Record {
	if e.Op == histories.Fetch && e.Kind == histories.Ok {
		return e.Answer.Records
	}
	return nil
}

func (m *mutator) final(e *histories.Event) bool { return e.Op == histories.Fetch && m.call(e).Final }

// seen: some fetch returned the value.
func (m *mutator) seen(v histories.Value) bool {
	return m.find(func(e *histories.Event) bool {
		return slices.ContainsFunc(m.records(e), func(r histories.Record) bool { return r.Value == v })
	}) != nil
}

// drop takes records out of every fetch.
func (m *mutator) drop(gone func(histories.Record) bool) {
	for i := range m.h.Events {
		if e := &m.h.Events[i]; m.records(e) != nil {
			e.Answer.Records = slices.DeleteFunc(e.Answer.Records, gone)
		}
	}
}

// tell appends an operation of a new process, and its answer.
func (m *mutator) tell(call histories.Call, answer histories.Answer) bool {
	last := m.h.Events[len(m.h.Events)-1]
	call.Topic = topicName
	process := histories.Process(1_000_000 + len(m.h.Events))
	m.h.Append(histories.Event{Index: last.Index + 1, Time: last.Time, Process: process, Kind: histories.Invoke, Op: call.Op, Call: &call})
	m.h.Append(histories.Event{Index: last.Index + 2, Time: last.Time, Process: process, Kind: histories.Ok, Op: call.Op, Answer: &answer})
	return true
}

// cutFinalRead lets the final read find the log to end at an offset.
func (m *mutator) cutFinalRead(end api.Offset) {
	start := m.start()
	m.h.Events = m.h.Events[:m.find(m.final).Index]
	m.readAgain(start, end)
}

// readAgain appends a final read of the log as the facts have it.
func (m *mutator) readAgain(from, end api.Offset) {
	records := append([]histories.Record{}, m.facts.Logs[0].Records[from:end]...)
	if len(records) > 0 {
		call := histories.Call{Op: histories.Fetch, Offset: from, Final: true}
		m.tell(call, histories.Answer{Records: records, HighWatermark: end, LogStart: from})
	}
	m.tell(histories.Call{Op: histories.Fetch, Offset: end, Final: true}, histories.Answer{HighWatermark: end, LogStart: from})
}

// extendFinalRead lets the final read find one more value at the end.
func (m *mutator) extendFinalRead(v histories.Value) bool {
	start := m.start()
	if m.end() == start {
		return false
	}
	log := &m.facts.Logs[0]
	log.Records = append(log.Records, histories.Record{Offset: m.end(), Value: v})
	m.h.Events = m.h.Events[:m.find(m.final).Index]
	m.readAgain(start, m.end())
	return true
}

// failProduce calls an acknowledged produce that was read failed.
func (m *mutator) failProduce(code api.Code) bool {
	e := m.pick(func(e *histories.Event) bool {
		return e.Op == histories.Produce && e.Kind == histories.Ok && m.seen(m.call(e).Values[0])
	})
	if e == nil {
		return false
	}
	e.Kind, e.Answer, e.Code = histories.Fail, nil, code
	return true
}

// exchangeSends lets two acknowledged batches of one process, sent one after the
// other, stand the other way round.
func (m *mutator) exchangeSends() bool {
	a := m.pick(func(e *histories.Event) bool { return m.nextSend(e) != nil })
	if a == nil {
		return false
	}
	b := m.nextSend(a)
	first, second := m.call(a), m.call(b)
	first.Values, second.Values = second.Values, first.Values
	a.Answer.Offset, b.Answer.Offset = b.Answer.Offset, a.Answer.Offset
	return true
}

// nextSend gives the answer to the next acknowledged produce of the same process.
func (m *mutator) nextSend(e *histories.Event) *histories.Event {
	if e.Op != histories.Produce || e.Kind != histories.Ok {
		return nil
	}
	return m.find(func(f *histories.Event) bool {
		return f.Index > e.Index && f.Process == e.Process && f.Op == histories.Produce && f.Kind == histories.Ok
	})
}

// sendLater moves a produce behind a fetch that returned its value.
func (m *mutator) sendLater() bool {
	last := m.find(func(e *histories.Event) bool {
		return e.Op == histories.Produce && e.Kind == histories.Ok && e.Answer.Offset >= m.start() && m.nextEvent(e) == nil && m.seen(m.call(e).Values[0])
	})
	if last == nil {
		return false
	}
	call, answer, process := m.call(last), last.Answer, last.Process
	kept := m.h.Events[:0]
	for _, e := range m.h.Events {
		if e.Process == process && (e.Call == call || e.Answer == answer) {
			continue
		}
		e.Index = histories.Index(len(kept))
		kept = append(kept, e)
	}
	m.h.Events = kept
	return m.tell(*call, *answer)
}

// nextEvent gives the next event of the same process.
func (m *mutator) nextEvent(e *histories.Event) *histories.Event {
	return m.find(func(f *histories.Event) bool { return f.Index > e.Index && f.Process == e.Process })
}
