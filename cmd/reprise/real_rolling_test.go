package main_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// Every node is restarted in order, one after the other, as for an upgrade, while clients
// append: none of them is told of a failure, and no partition is without an acknowledgement
// for long.
func TestRealRollingRestart(t *testing.T) {
	const (
		topic                 = "rolling"
		producers, partitions = 12, 6
		rounds                = 2
		// bound is for hangs; what is aimed at is half a second.
		bound = 10 * time.Second
	)
	c := newCluster(t, 3)
	c.command("topic", "create", topic, "--partitions", strconv.Itoa(partitions), "--replicas", "3")
	r := newRecording()
	ch := &chaos{cluster: c, recording: r, topic: topic, begun: time.Now()}
	ch.load = startLoad(c, r, loadPlan{topic: topic, producers: producers, partitions: partitions, period: 10 * time.Millisecond, read: true})
	ch.load.awaitPulse(ch.begun)
	var longest time.Duration
	for i := range rounds * len(c.nodes) {
		n := c.nodes[i%len(c.nodes)]
		ch.measure(func() {
			ch.what = fmt.Sprintf("restart of node %d", n.id)
			monitor := freeAddress(t)
			ch.restart(n, "--monitor", monitor)
			// As whoever rolls an upgrade out does, and no more.
			await(t, settleTime, "ready", func() error { return get(monitor, "/readyz", "ok") })
		})
		longest = max(longest, ch.load.gaps().longest())
	}
	// Leadership goes back to where meta wants it, which is a part of the last restart.
	ch.load.mark()
	time.Sleep(2 * time.Second)
	t.Logf("gaps in the 2 s after: %v", ch.load.gaps())
	longest = max(longest, ch.load.gaps().longest())
	ch.load.stop()
	t.Logf("the longest gap of a partition in %d rolling restarts of %d nodes: %d ms", rounds, len(c.nodes), longest.Milliseconds())
	if longest > bound {
		t.Errorf("a partition acknowledged nothing for %v", longest)
	}
	if n := ch.load.unknown.Load(); n > 0 {
		t.Errorf("%d produces failed at the client", n)
	}
	ch.finalRead(partitions)
	r.judge(t)
}
