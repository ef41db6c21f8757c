package client

import (
	"sync"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/histories"
)

// History records what the clients of a program see, so that reprise-sim check
// can judge it. All clients of a run share one, and with it one clock. The values
// of the records must be of histories.Payload, with numbers of their own, and a
// topic's name must not be used again once it was deleted.
//
// Of consumer groups it has what members are handed, what they commit, and FetchOffsets of
// one partition. Nobody may reset the offsets of such a group, or delete it.
//
// Each operation under way is a process of the history. A nil History records
// nothing.
type History struct {
	mu       sync.Mutex
	recorder *histories.Recorder
	start    time.Time
	// free are the processes that may act.
	free []histories.Process
}

// NewHistory hands every event to keep, one at a time.
func NewHistory(keep func(histories.Event)) *History {
	return &History{recorder: histories.NewRecorder(keep), start: time.Now()}
}

// Note records something that no client saw, such as a fault.
func (h *History) Note(note histories.Note) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recorder.Note(h.now(), note)
}

// process is one that acts in the history, until an outcome stays unknown.
type process struct {
	number histories.Process
	// given: number is of a process that may act.
	given bool
}

// event is an operation that was invoked; nil is one that is not recorded.
type event struct {
	history *History
	process *process
	op      histories.Op
	// lent: the process goes back to the free ones.
	lent bool
}

// invoke records that an operation begins.
func (h *History) invoke(q request) *event {
	if h == nil || q.call == nil {
		return nil
	}
	call := q.call()
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &event{history: h, process: q.process, op: call.Op}
	if e.process == nil {
		e.process, e.lent = &process{}, true
		if n := len(h.free); n > 0 {
			*e.process = process{h.free[n-1], true}
			h.free = h.free[:n-1]
		}
	}
	if !e.process.given {
		*e.process = process{h.recorder.NewProcess(), true}
	}
	h.recorder.Invoke(h.now(), e.process.number, call)
	return e
}

func (h *History) now() histories.Time { return histories.Time(time.Since(h.start)) }

// end records the result of the operation.
func (e *event) end(r core.Result) {
	if e == nil {
		return
	}
	h := e.history
	h.mu.Lock()
	defer h.mu.Unlock()
	// Nothing else failed without an error than what is not acknowledged.
	code := api.Code_TIMED_OUT
	if r.Err != nil {
		code = r.Err.Code
	}
	switch {
	case r.Err == nil && r.Definite:
		h.recorder.Ok(h.now(), e.process.number, answer(e.op, r))
	case r.Definite, e.op == histories.Fetch, e.op == histories.ListOffsets, e.op == histories.FetchOffset:
		// A read has no effect that could still happen.
		h.recorder.Fail(h.now(), e.process.number, code)
	default:
		h.recorder.Info(h.now(), e.process.number, code)
		e.process.given = false
		return
	}
	if e.lent {
		h.free = append(h.free, e.process.number)
	}
}

// answer is what a result says in a history.
func answer(op histories.Op, r core.Result) histories.Answer {
	switch op {
	case histories.Produce:
		return histories.Answer{Offset: r.Offset, LogStart: api.Offset(r.Response.GetProduce().GetLogStart())}
	case histories.Fetch:
		body := r.Response.GetFetch()
		return histories.Answer{
			Records:       parsed(r.Records),
			HighWatermark: api.Offset(body.GetHighWatermark()), LogStart: api.Offset(body.GetLogStart()),
		}
	case histories.ListOffsets:
		body := r.Response.GetListOffsets()
		return histories.Answer{
			Offset: api.Offset(body.GetOffset()), Found: body.GetFound(), Time: body.GetTime(), LogStart: api.Offset(body.GetLogStart()),
		}
	case histories.FetchOffset:
		return histories.Answer{Offset: api.Offset(r.Response.GetFetchOffsets().GetOffsets()[0].GetOffset())}
	case histories.DeleteRecords:
		return histories.Answer{LogStart: api.Offset(r.Response.GetDeleteRecords().GetLogStart())}
	}
	return histories.Answer{}
}

// parsed are records as a history has them.
func parsed(records []core.Record) []histories.Record {
	list := make([]histories.Record, 0, len(records))
	for _, r := range records {
		list = append(list, histories.ParsePayload(r.Offset, r.Value))
	}
	return list
}

func produceCall(mode Mode, topic string, partition int32, records []Record) histories.Call {
	call := histories.Call{Op: histories.Produce, Topic: topic, Partition: api.Partition(partition)}
	if mode == Unacknowledged {
		call.Acks = api.Acks_NONE
	}
	for _, r := range records {
		call.Values = append(call.Values, histories.ParsePayload(0, r.Value).Value)
	}
	return call
}
