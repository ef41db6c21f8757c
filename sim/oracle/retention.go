package oracle

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/segment"
)

// kept is what is known of when a group's records came, and how large they are. It is
// kept by the world's clock, which no node sees.
type kept struct {
	began env.Time // when the group was first seen
	// batches that are not known to be gone, oldest first, of so many bytes.
	batches []keptBatch
	bytes   int64
	start   api.Offset
}

type keptBatch struct {
	end   api.Offset
	bytes int64
	at    env.Time // when a replica first applied it
	// taken is when its leader took it: as of then it ages. It may have waited long for a
	// majority, whose disks were full.
	taken env.Time
}

const (
	// A monotonic clock runs so fast at most, in thousandths of the true rate.
	fastest = 1100
	// A batch has waited so long at most, between the leader that put an age on it and
	// when it was first sent, or, where that was not seen, applied.
	longestWait = 8 * env.Second
	// ageSlack is for what is rounded, and for clocks that stand still and leap: a second
	// each time.
	ageSlack api.Milliseconds = 3000
	// spanSlack is more than what batches a span may have above the size of a segment.
	spanSlack = 64 << 10
)

// checkRetention holds what an entry gave up against when the records came, and the age
// of the log against how long the group has been there. A trim gives up what it likes.
func (o *Oracle) checkRetention(g *group, f *segment.Frame) {
	p := g.machine.partition
	if p == nil {
		return
	}
	k := &g.kept
	now := o.world.Now()
	if data, ok := partition.Batch(f.Data); ok && f.Count > 0 {
		k.batches = append(k.batches, keptBatch{end: f.Base + api.Offset(f.Count), bytes: int64(len(data)), at: now, taken: g.taken(f, now)})
		k.bytes += int64(len(data))
	}
	if most := api.Milliseconds((now-k.began)/env.Millisecond)*fastest/1000 + ageSlack; p.Age() > most {
		o.fail(AgeLeapt, "entry %d of group %d makes its log %d ms old, and it was founded %d ms ago",
			f.Index, g.id, p.Age(), (now-k.began)/env.Millisecond)
	}
	trimmed := isTrim(f.Data)
	for len(k.batches) > 0 && k.batches[0].end <= p.LogStart() {
		b := k.batches[0]
		k.batches, k.bytes = k.batches[1:], k.bytes-b.bytes
		if what := k.tooEarly(b, p.Settings(), now); what != "" && !trimmed {
			o.fail(GivenUp, "entry %d of group %d gives up the records below offset %d: %s", f.Index, g.id, b.end, what)
		}
	}
	k.start = p.LogStart()
}

// taken is when a committed entry's leader was seen to send it first, or else a time.
func (g *group) taken(f *segment.Frame, otherwise env.Time) env.Time {
	if r := g.reign(f.Term); r != nil {
		if at, seen := r.taken[f.Index]; seen {
			return at
		}
	}
	return otherwise
}

// tooEarly says why a batch should be there still, "" if it need not.
func (k *kept) tooEarly(b keptBatch, want partition.Settings, now env.Time) string {
	least := env.Time(want.RetentionTime) * env.Millisecond * 1000 / fastest
	if want.RetentionTime != partition.NoLimit && now-b.taken+longestWait >= least {
		return ""
	}
	if want.RetentionBytes != partition.NoLimit && k.bytes >= want.RetentionBytes && len(k.batches) > 0 {
		return ""
	}
	return fmt.Sprintf("the last came %d ms ago and %d bytes follow; %d ms and %d bytes are to be kept",
		(now-b.taken)/env.Millisecond, k.bytes, want.RetentionTime, want.RetentionBytes)
}

// isTrim reports whether an entry deletes records because somebody asked.
func isTrim(data []byte) bool {
	const kind, trim = 1, 2
	return len(data) > kind && data[kind] == trim
}

// Unretained says what retention still has to do in a partition's log, "" if nothing:
// its settings are not yet those of its topic, there is too much, or what is too old.
func (o *Oracle) Unretained(id api.GroupID) string {
	g := o.groups[id]
	p := o.Meta().PartitionOf(id)
	if g == nil || g.machine.partition == nil || p == nil {
		return ""
	}
	want, k, now := g.machine.partition.Settings(), &g.kept, o.world.Now()
	if want.Version != p.Topic.ConfigVersion {
		return fmt.Sprintf("group %d has settings of version %d, its topic of %d", id, want.Version, p.Topic.ConfigVersion)
	}
	if len(k.batches) == 0 {
		return ""
	}
	spare := int64(want.SegmentBytes) + spanSlack
	if want.RetentionBytes != partition.NoLimit && k.bytes-spare > want.RetentionBytes {
		return fmt.Sprintf("group %d keeps %d bytes, and is to keep %d", id, k.bytes, want.RetentionBytes)
	}
	age := api.Milliseconds((now - k.batches[0].at) / env.Millisecond)
	if most := want.RetentionTime + want.RetentionTime/8 + ageSlack; want.RetentionTime != partition.NoLimit && age > most {
		return fmt.Sprintf("group %d keeps what came %d ms ago, and is to keep %d ms", id, age, want.RetentionTime)
	}
	return ""
}
