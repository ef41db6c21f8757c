package checker_test

import (
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// call is an operation on the partition.
func call(op histories.Op, offset api.Offset) histories.Call {
	return histories.Call{Op: op, Topic: topicOfGroup, Offset: offset}
}

// fails records an operation that did not happen.
func (r *reading) fails(c histories.Call, code api.Code) {
	p := r.recorder.NewProcess()
	r.recorder.Invoke(0, p, c)
	r.recorder.Fail(0, p, code)
}

// reads fetches the records from one offset up to another, told a high watermark and a log
// start.
func (r *reading) reads(from, to, highWatermark, start api.Offset) {
	answer := histories.Answer{HighWatermark: highWatermark, LogStart: start}
	for o := from; o < to; o++ {
		answer.Records = append(answer.Records, histories.Record{Offset: o, Value: histories.Value(o) + 100})
	}
	r.do(r.producer, call(histories.Fetch, from), answer)
}

// earliest asks for the log start.
func (r *reading) earliest(found api.Offset) {
	c := call(histories.ListOffsets, 0)
	c.Spec = api.OffsetSpec_EARLIEST
	r.do(r.producer, c, histories.Answer{Offset: found})
}

// latest asks for the end.
func (r *reading) latest(found api.Offset) {
	r.do(r.producer, call(histories.ListOffsets, 0), histories.Answer{Offset: found})
}

// glimpses produces a record that nobody acknowledges, and that a fetch sees which breaks
// off.
func (r *reading) glimpses() {
	p := r.recorder.NewProcess()
	r.recorder.Invoke(0, p, histories.Call{Op: histories.Produce, Topic: topicOfGroup, Values: []histories.Value{7}})
	r.recorder.Info(0, p, api.Code_TIMED_OUT)
	p = r.recorder.NewProcess()
	r.recorder.Invoke(0, p, call(histories.Fetch, 6))
	r.recorder.Info(0, p, api.Code_TIMED_OUT)
	r.h.Events[len(r.h.Events)-1].Answer = &histories.Answer{Records: []histories.Record{{Offset: 6, Value: 7}}, HighWatermark: 7}
}

// finds looks for a time stamp and is told an offset and a log start.
func (r *reading) finds(found, start api.Offset) {
	c := call(histories.ListOffsets, 0)
	c.Spec, c.Time = api.OffsetSpec_AT_TIME, 5
	r.do(r.producer, c, histories.Answer{Offset: found, Found: true, Time: 5, LogStart: start})
}

// smallRuns are what may happen to a partition of six records, with the numbers 100 to 105,
// and the names of what is wrong with it.
var smallRuns = map[string]struct {
	run  func(*reading)
	want []checker.Name
}{
	"a topic is deleted, and another is created": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteTopic, 0), histories.Answer{})
		r.do(r.producer, histories.Call{Op: histories.CreateTopic, Topic: "another"}, histories.Answer{})
	}, nil},
	"a topic is deleted, and its name is used again": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteTopic, 0), histories.Answer{})
		r.do(r.producer, call(histories.CreateTopic, 0), histories.Answer{})
		r.do(r.producer, histories.Call{Op: histories.Produce, Topic: topicOfGroup, Values: []histories.Value{7}}, histories.Answer{})
	}, []checker.Name{checker.MalformedHistory}},
	"a record without acknowledgement is not there": {func(r *reading) {
		r.do(r.recorder.NewProcess(), histories.Call{Op: histories.Produce, Topic: topicOfGroup, Values: []histories.Value{7}, Acks: api.Acks_NONE}, histories.Answer{Offset: 6})
		r.latest(6)
	}, nil},
	"an acknowledged record is not there": {func(r *reading) {
		r.do(r.producer, histories.Call{Op: histories.Produce, Topic: topicOfGroup, Values: []histories.Value{7}}, histories.Answer{Offset: 6})
		r.latest(6)
	}, []checker.Name{checker.EndOffsetRegress}},
	"a fetch of unknown outcome sees the end": {func(r *reading) {
		r.glimpses()
		r.latest(7)
	}, nil},
	"a fetch of unknown outcome sees more than comes after": {func(r *reading) {
		r.glimpses()
		r.latest(6)
	}, []checker.Name{checker.EndOffsetRegress}},
	"a topic is deleted and unknown": {func(r *reading) {
		r.reads(0, 6, 6, 0)
		r.do(r.producer, call(histories.DeleteTopic, 0), histories.Answer{})
		r.fails(call(histories.Fetch, 0), api.Code_UNKNOWN_TOPIC_OR_PARTITION)
	}, nil},
	"a topic vanishes": {func(r *reading) {
		r.reads(0, 6, 6, 0)
		r.fails(call(histories.Fetch, 0), api.Code_UNKNOWN_TOPIC_OR_PARTITION)
		r.do(r.producer, call(histories.DeleteTopic, 0), histories.Answer{})
	}, []checker.Name{checker.LostTopic}},
	"a topic vanishes whose deletion failed": {func(r *reading) {
		r.fails(call(histories.DeleteTopic, 0), api.Code_NOT_LEADER)
		r.fails(call(histories.Fetch, 0), api.Code_UNKNOWN_TOPIC_OR_PARTITION)
	}, []checker.Name{checker.LostTopic}},
	"records are deleted": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, 3), histories.Answer{LogStart: 3})
		r.earliest(3)
		r.do(r.producer, call(histories.DeleteRecords, -1), histories.Answer{LogStart: 6})
		r.earliest(6)
		r.do(r.producer, call(histories.DeleteRecords, 2), histories.Answer{LogStart: 6})
	}, nil},
	"a deletion failed and happened": {func(r *reading) {
		r.fails(call(histories.DeleteRecords, 3), api.Code_NOT_LEADER)
		r.earliest(3)
	}, []checker.Name{checker.UnexplainedLogStart}},
	"a deletion that is acknowledged has no effect": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, 3), histories.Answer{LogStart: 0})
	}, []checker.Name{checker.LostDelete}},
	"a deletion that is acknowledged, without its log start, has no effect": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, 3), histories.Answer{LogStart: histories.NoOffset})
		r.earliest(0)
	}, []checker.Name{checker.LogStartRegress}},
	"what comes after a deletion of all is deleted too": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, -1), histories.Answer{LogStart: 6})
		r.produce(3)
		r.earliest(9)
	}, []checker.Name{checker.UnexplainedLogStart}},
	"what comes after a deletion of all is deleted by another of unknown fate": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, -1), histories.Answer{LogStart: 6})
		r.triesToDelete(-1)
		r.produce(3)
		r.earliest(9)
	}, nil},
	"out of range inside the log": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, -1), histories.Answer{LogStart: 6})
		r.produce(3)
		r.fails(call(histories.Fetch, 7), api.Code_OFFSET_OUT_OF_RANGE)
	}, []checker.Name{checker.StaleRead}},
	"records up to the high watermark": {func(r *reading) { r.reads(0, 2, 2, 0) }, nil},
	"records beyond the high watermark": {func(r *reading) {
		r.reads(0, 6, 2, 0)
	}, []checker.Name{checker.UncommittedRead}},
	"a time stamp is found": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, 3), histories.Answer{LogStart: 3})
		r.finds(3, 3)
	}, nil},
	"a time stamp is found below the log start": {func(r *reading) {
		r.do(r.producer, call(histories.DeleteRecords, 3), histories.Answer{LogStart: 3})
		r.finds(2, 3)
	}, []checker.Name{checker.WrongTimeOffset}},
	"retention moves the log start": {func(r *reading) {
		r.recorder.Note(0, histories.Note{Op: histories.Retention, Topic: topicOfGroup})
		r.earliest(3)
		r.fails(call(histories.Fetch, 1), api.Code_OFFSET_OUT_OF_RANGE)
		r.fails(call(histories.Fetch, 0), api.Code_OFFSET_OUT_OF_RANGE)
		r.reads(3, 6, 6, 3)
	}, nil},
	"retention of every topic moves the log start": {func(r *reading) {
		r.recorder.Note(0, histories.Note{Op: histories.Retention})
		r.earliest(3)
	}, nil},
	"retention of another topic moves nothing": {func(r *reading) {
		r.recorder.Note(0, histories.Note{Op: histories.Retention, Topic: "another"})
		r.earliest(3)
	}, []checker.Name{checker.UnexplainedLogStart}},
	"out of range at offset 0 is below a log start that nobody moved": {func(r *reading) {
		r.fails(call(histories.Fetch, 0), api.Code_OFFSET_OUT_OF_RANGE)
	}, []checker.Name{checker.UnexplainedLogStart}},
}

// Each way in which a partition may go wrong has its name, and no other; and what looks
// like it, but is as it should be, has none.
func TestSmallRuns(t *testing.T) {
	for name, test := range smallRuns {
		t.Run(name, func(t *testing.T) {
			r := newReading()
			r.produce(6)
			test.run(r)
			if got := r.names(); !slices.Equal(got, test.want) {
				t.Errorf("found %v, want %v", got, test.want)
			}
		})
	}
}
