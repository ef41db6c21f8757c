package broker_test

import (
	"slices"
	"syscall"
	"testing"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// BenchmarkIdle is what partitions cost that nobody uses: one operation is one tick of
// three nodes, each with a replica of 1,000 groups, encoding and decoding of what they
// send each other included. The time that counts is cpu-ns/op.
func BenchmarkIdle(b *testing.B) {
	const partitions = 1000
	c := newCluster(b, 71, three...)
	c.full(three...)
	c.ok(func() *api.Request { return createTopic("idle", partitions) }, three...)
	c.waitFor("leaders of all partitions", func() bool {
		for _, t := range c.metadata(three...).GetTopics() {
			if slices.ContainsFunc(t.GetPartitions(), func(p *api.PartitionInfo) bool { return p.GetLeader() == 0 }) {
				return false
			}
		}
		return true
	})
	c.run(20 * env.Second)
	tick := broker.DefaultConfig().Tick
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		c.run(tick)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	c.expectFine()
}

// cpuTime is what this process has had of the processor, in nanoseconds: on a machine
// that does other work too, it says more than the time that has passed.
func cpuTime(t testing.TB) int64 {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
