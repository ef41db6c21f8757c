package checker_test

import (
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/checker"
	"github.com/reprise-mq/reprise/histories"
)

// BenchmarkCheck judges a history of the size of a standard seed's.
func BenchmarkCheck(b *testing.B) {
	for _, steps := range []int{8_000, 30_000, 120_000} {
		h, facts := generate(1, shape{
			clients: 8, steps: steps, partitions: 4, batch: 3, unknown: 3, failing: 3, deletes: 1, most: 50, final: true,
		})
		counts := checker.Check(h, facts, checker.Options{}).Counts
		for name, f := range map[string]*checker.Facts{"facts": facts, "clients": nil} {
			b.Run(name, func(b *testing.B) {
				b.ReportMetric(float64(counts.Operations), "operations")
				b.ReportMetric(float64(counts.ReadRecords), "records")
				for b.Loop() {
					checker.Check(h, f, checker.Options{})
				}
			})
		}
	}
}

// BenchmarkGroup judges a group of one partition that commits, asks and says that it is done
// as often as it can: the time grows as the history does.
func BenchmarkGroup(b *testing.B) {
	for _, steps := range []int{2_000, 20_000} {
		b.Run(fmt.Sprint(steps), func(b *testing.B) {
			r := newReading()
			r.produce(steps)
			r.assigned(1, 0, false)
			for i := range steps {
				r.takes(1, 1)
				r.processed(1)
				r.commits(1, api.Offset(i+1))
				r.asks(api.Offset(i + 1))
			}
			for b.Loop() {
				if names := r.names(); len(names) > 0 {
					b.Fatal(names)
				}
			}
		})
	}
}

// BenchmarkTimes looks for time stamps that lie at the end of the log.
func BenchmarkTimes(b *testing.B) {
	for _, n := range []int{2_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newReading()
			call := histories.Call{Op: histories.Produce, Topic: topicOfGroup}
			for i := range n {
				call.Values = append(call.Values, histories.Value(i))
				call.Times = append(call.Times, int64(i))
			}
			r.do(r.producer, call, histories.Answer{})
			last := api.Offset(n - 1)
			for range n {
				r.do(r.producer,
					histories.Call{Op: histories.ListOffsets, Topic: topicOfGroup, Spec: api.OffsetSpec_AT_TIME, Time: int64(last)},
					histories.Answer{Offset: last, Found: true, Time: int64(last)})
			}
			for b.Loop() {
				if names := r.names(); len(names) > 0 {
					b.Fatal(names)
				}
			}
		})
	}
}
