package checker_test

import (
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// Of a history that ends without a final read, what was acknowledged must have been read.
func TestWeakWhereNobodyRead(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(*reading)
		want string
	}{
		"nothing":                {func(*reading) {}, "operations acknowledged: 0, and at least 1"},
		"nobody read":            {func(r *reading) { r.produce(6) }, "t/0: nobody read 6 acknowledged values"},
		"somebody read the half": {func(r *reading) { r.produce(6); r.reads(0, 3, 6, 0) }, "t/0: nobody read 3 acknowledged values"},
		"somebody read all":      {func(r *reading) { r.produce(6); r.reads(0, 3, 6, 0); r.reads(3, 6, 6, 0) }, ""},
		"read before there was anything": {func(r *reading) {
			r.do(r.recorder.NewProcess(), histories.Call{Op: histories.Fetch, Topic: topicOfGroup, Final: true}, histories.Answer{})
			r.produce(6)
		}, "t/0: nobody read 6 values that were acknowledged after the final read"},
		"deleted unread": {func(r *reading) {
			r.produce(6)
			r.do(r.producer, call(histories.DeleteRecords, 6), histories.Answer{LogStart: 6})
		}, "t/0: nobody read 6 acknowledged values"},
	} {
		r := newReading()
		c.run(r)
		report := checker.Check(&r.h, nil, checker.Options{Thresholds: checker.Recorded()})
		reasons := strings.Join(report.Reasons, "\n")
		if (report.Verdict == checker.Weak) != (c.want != "") || !strings.Contains(reasons, c.want) {
			t.Errorf("%s: %v because of %q, want %q", name, report.Verdict, reasons, c.want)
		}
	}
}

// A run that proves too little is weak, and says in which way.
func TestWeak(t *testing.T) {
	h, facts := generate(1, shape{clients: 3, steps: 300, partitions: 1, batch: 1, most: 4, final: true})
	enough := checker.Thresholds{Operations: 50, Acknowledged: 50, LeaderChanges: 2, LossyCrashes: 1, Cuts: 1, FinalRead: true}
	for _, c := range []struct {
		name       string
		thresholds checker.Thresholds
		run        *checker.Run
		want       string
	}{
		{"enough", enough, &checker.Run{ProcessFaults: true, NetworkFaults: true, LeaderChanges: 2, LossyCrashes: 1, Cuts: 1}, ""},
		{"a real run", enough, nil, ""},
		{"no faults on", enough, &checker.Run{}, ""},
		{"leaders", enough, &checker.Run{ProcessFaults: true, LeaderChanges: 1, LossyCrashes: 1}, "leader changes with an unacknowledged suffix: 1, and at least 2"},
		{"crashes", enough, &checker.Run{ProcessFaults: true, LeaderChanges: 2}, "crashes that lost unsynced bytes: 0, and at least 1"},
		{"cuts", enough, &checker.Run{NetworkFaults: true}, "cuts that hit an operation under way: 0"},
		{"operations", checker.Thresholds{Operations: 5000}, nil, "operations: "},
		{"a recorded history", checker.Recorded(), nil, ""},
		{"the standard plan", checker.Standard(), nil, "operations acknowledged: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := checker.Check(h, facts, checker.Options{Thresholds: c.thresholds, Run: c.run})
			reasons := strings.Join(r.Reasons, "\n")
			if (r.Verdict == checker.Weak) != (c.want != "") || !strings.Contains(reasons, c.want) {
				t.Errorf("%v because of %q, want %q", r.Verdict, reasons, c.want)
			}
		})
	}
}
