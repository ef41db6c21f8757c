package plan

import (
	"github.com/reprise-mq/reprise/sim/prng"
)

// The times of retention lie below what a run may take to be well again, so that it can
// be seen that all goes that has to.
const (
	shortestRetention = 10_000
	longestRetention  = 16_000
)

// retention makes the workload one on a topic that does not keep everything, and has an
// administrator change what it keeps, its other configs, and how many partitions it has.
func (g *generator) retention() {
	s := g.seed.Split("retention")
	w := &g.plan.Workload
	if s.Chance(3, 4) {
		w.RetentionTime = retentionTime(s)
	}
	if s.Chance(1, 2) || w.RetentionTime == 0 {
		w.RetentionBytes = retentionBytes(s)
	}
	target := Target{Topic: w.Topic}
	act := func(kind Kind, strength func(*prng.Stream) int64) {
		s := g.seed.Split(string(kind))
		g.add(s, kind, s.Between(1, 3), func(s *prng.Stream, f *Fault) {
			f.Target, f.Strength = target, strength(s)
		})
	}
	act(RetainTime, orNone(retentionTime))
	act(RetainBytes, orNone(retentionBytes))
	act(SegmentBytes, orNone(segmentBytes))
	act(MessageBytes, orNone(messageBytes))
	act(AddPartitions, func(s *prng.Stream) int64 { return s.Between(1, 2) })
	for i := range g.plan.Faults {
		if f := &g.plan.Faults[i]; f.Kind == AddPartitions {
			w.Added += int(f.Strength)
		}
	}
}

// orNone draws no limit one time in four.
func orNone(draw func(*prng.Stream) int64) func(*prng.Stream) int64 {
	return func(s *prng.Stream) int64 {
		if s.Chance(1, 4) {
			return 0
		}
		return draw(s)
	}
}

func retentionTime(s *prng.Stream) int64  { return s.Between(shortestRetention, longestRetention) }
func retentionBytes(s *prng.Stream) int64 { return s.Between(8, 96) * kibi }
func segmentBytes(s *prng.Stream) int64   { return s.Between(4, 64) * kibi }
func messageBytes(s *prng.Stream) int64   { return s.Between(1, 24) * kibi }
