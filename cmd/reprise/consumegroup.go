package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// commitEvery is how often a group's consumer commits what it has printed.
const commitEvery = 5 * time.Second

// checkGroup looks at the flags of a consumer of a group.
func (f *consumeFlags) checkGroup(changed func(string) bool) (core.ResetPolicy, error) {
	switch {
	case f.topic == "":
		return 0, cli.Usagef("consume needs --topic")
	case f.max < 0:
		return 0, cli.Usagef("--max %d: it must not be negative", f.max)
	case changed("partition") || changed("from-time"):
		return 0, cli.Usagef("--group goes on where the group is, in the partitions it is given: leave --partition and --from-time out; see group reset")
	case f.from == "earliest":
		return core.ResetEarliest, nil
	case f.from == "latest":
		return core.ResetLatest, nil
	}
	return 0, cli.Usagef("--from %q: with --group it is earliest or latest, and counts where the group has committed nothing", f.from)
}

// member is what a groupConsumer needs of a client.Subscription.
type member interface {
	Poll(ctx context.Context) ([]client.GroupRecord, error)
	CommitOffsets(ctx context.Context, positions []core.CommitPosition) error
	Close(ctx context.Context) error
}

// groupConsumer prints what a member of a group is given, and commits it.
type groupConsumer struct {
	ctx     context.Context
	member  member
	printer *printer
	log     io.Writer
	// owned are the partitions that the member has been given, and has not lost.
	owned map[core.TopicPartition]bool
	// printed and not committed: the offsets of the next records, by partition that is owned.
	printed  map[core.TopicPartition]api.Offset
	lastTime time.Time
	// failed is why the last commit was not made; nil if it was.
	failed error
}

// consumeGroup reads as a member of a group until enough was printed.
func (f *consumeFlags) consumeGroup(ctx context.Context, cl *client.Client, reset core.ResetPolicy, out, log io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g := &groupConsumer{
		ctx: ctx, log: log, owned: map[core.TopicPartition]bool{}, printed: map[core.TopicPartition]api.Offset{}, lastTime: time.Now(),
		printer: &printer{out: bufio.NewWriter(out), format: f.format, topic: f.topic, left: f.max, limited: f.max > 0, stop: stop},
	}
	options := client.SubscribeOptions{
		Group: f.group, Topics: []string{f.topic}, Reset: reset,
		Assigned: g.assigned, Revoked: g.revoked, Lost: g.lost,
	}
	if f.max > 0 {
		// No more is taken than is printed.
		options.MaxPoll = 1
	}
	subscription, err := cl.Subscribe(ctx, options)
	if err != nil {
		return err
	}
	g.member = subscription
	return g.run(f.timeout)
}

// run prints and commits until it is enough. What was printed is committed also when the
// command is stopped, within a time.
func (g *groupConsumer) run(timeout time.Duration) error {
	err := g.follow()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), timeout)
	defer cancel()
	g.ctx = ctx
	err = errors.Join(err, g.member.Close(ctx), g.printer.out.Flush())
	if g.failed != nil {
		err = errors.Join(err, fmt.Errorf("what was printed last is not committed, and the group reads it again: %w", g.failed))
	}
	return err
}

func (g *groupConsumer) follow() error {
	for {
		records, err := g.poll()
		if errors.Is(err, &client.Error{Code: api.Code_POLL_OVERDUE}) {
			// Whoever reads the output has kept it waiting.
			fmt.Fprintln(g.log, err)
			continue
		}
		if err != nil || g.ctx.Err() != nil {
			return err
		}
		for _, r := range records {
			if err := g.printer.print(r.Record, int32(r.Partition)); err != nil {
				return err
			}
			// A partition may be lost while another one's commit keeps a poll waiting.
			if g.owned[r.TopicPartition] {
				g.printed[r.TopicPartition] = r.Offset + 1
			}
		}
		if time.Since(g.lastTime) >= commitEvery {
			g.commit(func(core.TopicPartition) bool { return true })
		}
	}
}

// poll waits for records, but not for so long that what was printed stays uncommitted.
func (g *groupConsumer) poll() ([]client.GroupRecord, error) {
	ctx, cancel := context.WithDeadline(g.ctx, g.lastTime.Add(commitEvery))
	defer cancel()
	records, err := g.member.Poll(ctx)
	if ctx.Err() != nil {
		return records, nil
	}
	return records, err
}

// commit commits what was printed of some partitions. That it failed is said and no more,
// but at the end: the next one may not, and what is not committed is read again.
func (g *groupConsumer) commit(of func(core.TopicPartition) bool) {
	g.lastTime = time.Now()
	var list []core.CommitPosition
	for p, offset := range g.printed {
		if of(p) {
			list = append(list, core.CommitPosition{TopicPartition: p, Offset: offset})
		}
	}
	slices.SortFunc(list, func(a, b core.CommitPosition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	if len(list) == 0 {
		return
	}
	if err := g.member.CommitOffsets(g.ctx, list); err != nil {
		fmt.Fprintln(g.log, "not committed:", err)
		g.failed = err
		return
	}
	g.failed = nil
	for _, p := range list {
		fmt.Fprintf(g.log, "committed %s/%d at offset %d\n", p.Topic, p.Partition, p.Offset)
		delete(g.printed, p.TopicPartition)
	}
}

func (g *groupConsumer) assigned(list []core.AssignedPartition) {
	for _, p := range list {
		fmt.Fprintf(g.log, "assigned %s/%d from offset %d\n", p.Topic, p.Partition, p.Offset)
		g.owned[p.TopicPartition] = true
	}
}

func (g *groupConsumer) revoked(list []core.TopicPartition) {
	g.commit(func(p core.TopicPartition) bool { return slices.Contains(list, p) })
	g.forget("revoked", list)
}

func (g *groupConsumer) lost(list []core.TopicPartition) { g.forget("lost", list) }

func (g *groupConsumer) forget(word string, list []core.TopicPartition) {
	for _, p := range list {
		fmt.Fprintf(g.log, "%s %s/%d\n", word, p.Topic, p.Partition)
	}
	maps.DeleteFunc(g.owned, func(p core.TopicPartition, _ bool) bool { return slices.Contains(list, p) })
	maps.DeleteFunc(g.printed, func(p core.TopicPartition, _ api.Offset) bool { return slices.Contains(list, p) })
}
