package embed_test

import (
	"context"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
)

// A group goes on when its coordinator is killed: nobody loses a partition, no offset is
// lost, and every record is handed out, once, for nobody had to be replaced.
func TestCoordinatorIsKilled(t *testing.T) {
	c := start(t)
	c.produce(50)
	moved := 0
	s, err := c.client.Subscribe(t.Context(), client.SubscribeOptions{
		Group: "g", Topics: []string{"t"}, Lost: func([]core.TopicPartition) { moved++ },
	})
	c.must(err)
	var read []int64
	take := func() {
		for len(read) < c.acked {
			records, err := s.Poll(t.Context())
			c.must(err)
			for _, r := range records {
				read = append(read, int64(r.Offset))
			}
		}
	}
	take()
	_, err = pollOnce(s) // what was read is processed
	c.must(err)
	c.must(s.Commit(t.Context()))

	coordinator, err := c.Leader(t.Context(), api.GroupsTopic, int32(api.GroupShard("g", c.shards())))
	c.must(err)
	coordinator.Kill()
	killed := time.Now()
	c.must(s.Commit(t.Context())) // nothing new, but it is told by whoever coordinates now
	offsets, err := c.client.FetchOffsets(t.Context(), "g")
	c.must(err)
	t.Logf("the group answers %v after its coordinator was killed", time.Since(killed))
	if len(offsets) != 1 || offsets[0].GetOffset() != 50 {
		t.Errorf("committed after the kill: %v, and it was 50", offsets)
	}

	c.produce(50)
	take()
	c.must(s.Close(t.Context()))
	if moved > 0 {
		t.Errorf("%d partitions were lost", moved)
	}
	for i, offset := range read {
		if int64(i) != offset {
			t.Fatalf("the %d-th record handed out is that at offset %d", i, offset)
		}
	}
	offsets, err = c.client.FetchOffsets(t.Context(), "g")
	c.must(err)
	if len(offsets) != 1 || offsets[0].GetOffset() != 50 {
		t.Errorf("committed by a consumer that commits by hand, and did once: %v", offsets)
	}
}

// pollOnce polls for a moment: there is nothing to come.
func pollOnce(s *client.Subscription) ([]client.GroupRecord, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	records, err := s.Poll(ctx)
	if ctx.Err() != nil {
		return records, nil
	}
	return records, err
}

// shards are how many there are of the groups.
func (c *cluster) shards() int {
	c.t.Helper()
	m, err := c.client.Metadata(c.t.Context(), api.GroupsTopic)
	c.must(err)
	return len(m.GetTopics()[0].GetPartitions())
}
