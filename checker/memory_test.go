package checker_test

import (
	"runtime"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// What a long history takes to be judged grows as it does, not with its square.
func TestMemory(t *testing.T) {
	const operations, each = 60_000, 4 << 10 // bytes; n/8 at each step would be 7,500 more
	r := newReading()
	for range operations {
		r.produce(1)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report := checker.Check(&r.h, nil, checker.Options{})
	runtime.ReadMemStats(&after)
	per := (after.TotalAlloc - before.TotalAlloc) / operations
	if report.Verdict != checker.Pass || per > each {
		t.Errorf("%v, %d bytes for each operation, want pass and at most %d", report.Verdict, per, each)
	}
	t.Logf("%d bytes for each operation", per)
}

// A log that cannot be cut, because an operation goes on all the time, is searched up to a
// bound; beyond it the verdict is unknown, never pass.
func TestLogThatCannotBeCut(t *testing.T) {
	for n, want := range map[int]checker.Verdict{2_000: checker.Pass, 40_000: checker.Unknown} {
		r := newReading()
		slow := r.recorder.NewProcess()
		r.recorder.Invoke(0, slow, histories.Call{Op: histories.Fetch, Topic: topicOfGroup})
		for range n {
			r.produce(1)
		}
		r.recorder.Ok(0, slow, histories.Answer{Records: []histories.Record{{Offset: 0, Value: 100}}, HighWatermark: api.Offset(1)})
		if report := checker.Check(&r.h, nil, checker.Options{}); report.Verdict != want {
			t.Errorf("%d operations: %v, want %v: %v", n, report.Verdict, want, report.Reasons)
		}
	}
}
