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

// A log is searched piece by piece though something is under way at any time: an operation
// that goes on all the time, clients that take turns, many reads of one end, or an append
// whose fate shows late.
func TestSearchOfWhatIsNeverQuiet(t *testing.T) {
	const n = 50_000
	ends := func(r *reading) histories.Process {
		p := r.recorder.NewProcess()
		r.recorder.Invoke(0, p, histories.Call{Op: histories.ListOffsets, Topic: topicOfGroup, Spec: api.OffsetSpec_LATEST})
		return p
	}
	told := func(r *reading, p histories.Process) { r.recorder.Ok(0, p, histories.Answer{Offset: r.end}) }
	// inTurn has one reader begin before the last ends, all the time.
	inTurn := func(r *reading, between func()) {
		last := ends(r)
		for range n {
			between()
			p := ends(r)
			told(r, last)
			last = p
		}
		told(r, last)
	}
	for name, run := range map[string]func(*reading){
		"a slow fetch": func(r *reading) {
			slow := r.recorder.NewProcess()
			r.recorder.Invoke(0, slow, histories.Call{Op: histories.Fetch, Topic: topicOfGroup})
			for range n {
				r.produce(1)
			}
			r.recorder.Ok(0, slow, histories.Answer{Records: []histories.Record{{Offset: 0, Value: 100}}, HighWatermark: 1})
		},
		"readers in turn": func(r *reading) {
			inTurn(r, func() { r.produce(1) })
		},
		"one end": func(r *reading) {
			r.produce(1)
			inTurn(r, func() {})
		},
		"an append in doubt": func(r *reading) {
			doubt := r.recorder.NewProcess()
			r.recorder.Invoke(0, doubt, histories.Call{Op: histories.Produce, Topic: topicOfGroup, Values: []histories.Value{99}})
			inTurn(r, func() {})
			r.do(r.recorder.NewProcess(), histories.Call{Op: histories.Fetch, Topic: topicOfGroup},
				histories.Answer{Records: []histories.Record{{Offset: 0, Value: 99}}, HighWatermark: 1})
		},
	} {
		r := newReading()
		run(r)
		report := checker.Check(&r.h, nil, checker.Options{})
		p := report.Partitions[0]
		if report.Verdict != checker.Pass || p.Porcupine != checker.Linearizable {
			t.Errorf("%s: %v, the search says %v: %v", name, report.Verdict, p.Porcupine, report.Reasons)
		}
	}
}

// What is under way at once cannot be parted. Where that is too much, the verdict is unknown,
// never pass.
func TestSearchOfWhatIsAtOnce(t *testing.T) {
	for n, want := range map[int]checker.Verdict{1_000: checker.Pass, 41_000: checker.Unknown} {
		r := newReading()
		var all []histories.Process
		for range n {
			p := r.recorder.NewProcess()
			r.recorder.Invoke(0, p, histories.Call{Op: histories.ListOffsets, Topic: topicOfGroup, Spec: api.OffsetSpec_LATEST})
			all = append(all, p)
		}
		r.produce(1)
		for _, p := range all {
			r.recorder.Ok(0, p, histories.Answer{Offset: r.end})
		}
		if report := checker.Check(&r.h, nil, checker.Options{}); report.Verdict != want {
			t.Errorf("%d reads at once: %v, want %v: %v", n, report.Verdict, want, report.Reasons)
		}
	}
}
