package checker_test

import (
	"testing"

	"github.com/reprise-mq/reprise/checker"
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
