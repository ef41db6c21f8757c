package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

type resetFlags struct {
	connection
	topics               []string
	toEarliest, toLatest bool
	toOffset, shiftBy    int64
	toTime               string
	execute, asJSON      bool

	// what says which of the targets was given; at is --to-time, in milliseconds.
	what string
	at   int64
}

func newGroupReset() *cobra.Command {
	var f resetFlags
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Set the offsets of a group that has no members",
		Long: `Set the offsets of a group that has no members, in all partitions of the topics
given, or else wherever it has committed. Offsets are kept within what a partition has.

Without --execute it only shows what it would do.`,
		Example: `  reprise group reset billing --topic orders --to-time 90m --bootstrap 127.0.0.1:9001
  reprise group reset billing --shift-by -100 --execute --bootstrap 127.0.0.1:9001`,
		Args: cli.Arguments(1, 1, "the name of a group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Flags().Changed); err != nil {
				return err
			}
			return f.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return f.reset(cmd.Context(), cl, args[0], cmd.OutOrStdout())
			})
		},
	}
	f.register(cmd)
	registerJSON(cmd, &f.asJSON)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.topics, "topic", nil, "topics to reset (wherever the group has committed)")
	flags.BoolVar(&f.toEarliest, "to-earliest", false, "to the first record that was not deleted")
	flags.BoolVar(&f.toLatest, "to-latest", false, "to the end")
	flags.Int64Var(&f.toOffset, "to-offset", 0, "to an offset")
	flags.StringVar(&f.toTime, "to-time", "", "to the first record not before a time: RFC 3339, milliseconds since 1970, or a duration ago")
	flags.Int64Var(&f.shiftBy, "shift-by", 0, "by so many records from where it is, forward or back")
	flags.BoolVar(&f.execute, "execute", false, "do it")
	return cmd
}

func (f *resetFlags) check(given func(string) bool) error {
	for _, name := range []string{"to-earliest", "to-latest", "to-offset", "to-time", "shift-by"} {
		switch {
		case given(name) && f.what != "":
			return cli.Usagef("--%s and --%s both say where to; give one", f.what, name)
		case given(name):
			f.what = name
		}
	}
	switch {
	case f.what == "":
		return cli.Usagef("group reset needs one of --to-earliest, --to-latest, --to-offset, --to-time and --shift-by")
	case f.toOffset < 0:
		return cli.Usagef("--to-offset %d: it must not be negative", f.toOffset)
	case f.what != "to-time":
		return nil
	}
	at, err := parseTime("to-time", f.toTime, time.Now())
	f.at = at
	return err
}

// resetView is what a reset does to one partition. Its JSON is for scripts.
type resetView struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// From is null where nothing is committed.
	From *int64 `json:"from"`
	To   int64  `json:"to"`

	id uint64
}

func (f *resetFlags) reset(ctx context.Context, cl *client.Client, group string, out io.Writer) error {
	d, err := cl.DescribeGroup(ctx, group)
	if err != nil {
		return err
	}
	if n := len(d.Members); n > 0 {
		return fmt.Errorf("reset offsets of group %q: it has %d members, which go on from where they are; stop them first", group, n)
	}
	plan, err := f.plan(ctx, cl, group)
	if err != nil {
		return err
	}
	if f.execute && len(plan) > 0 {
		var offsets []*api.GroupOffset
		for _, v := range plan {
			offsets = append(offsets, &api.GroupOffset{
				Partition: &api.GroupPartition{TopicId: v.id, Partition: v.Partition, Topic: v.Topic}, Offset: v.To,
			})
		}
		if err := cl.ResetOffsets(ctx, group, offsets); err != nil {
			return err
		}
	}
	return show(out, f.asJSON, plan, func(out io.Writer) error {
		table := newTable(out, "TOPIC", "PARTITION", "FROM", "TO")
		for _, v := range plan {
			fmt.Fprintf(table, "%s\t%d\t%s\t%d\n", v.Topic, v.Partition, known(v.From), v.To)
		}
		if err := table.Flush(); err != nil || f.execute {
			return err
		}
		_, err := fmt.Fprintln(out, "nothing was changed; add --execute to do it")
		return err
	})
}

// plan says what a reset does, by topic and partition.
func (f *resetFlags) plan(ctx context.Context, cl *client.Client, group string) ([]resetView, error) {
	offsets, err := cl.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	m, err := cl.Metadata(ctx, f.topics...)
	if err != nil {
		return nil, err
	}
	plan := []resetView{}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			v := resetView{Topic: t.Name, Partition: p.Partition, id: t.Id}
			at := slices.IndexFunc(offsets, func(o *api.GroupOffset) bool {
				return o.GetPartition().GetTopicId() == t.Id && o.Partition.Partition == p.Partition && o.Offset >= 0
			})
			if at >= 0 {
				v.From = &offsets[at].Offset
			} else if len(f.topics) == 0 {
				continue
			}
			if v.To, err = f.target(ctx, cl, v); err != nil {
				return nil, err
			}
			plan = append(plan, v)
		}
	}
	return plan, nil
}

// target gives the offset that a partition is reset to.
func (f *resetFlags) target(ctx context.Context, cl *client.Client, v resetView) (int64, error) {
	start, err := cl.ListOffsets(ctx, v.Topic, v.Partition, api.OffsetSpec_EARLIEST)
	if err != nil {
		return 0, err
	}
	end, err := cl.ListOffsets(ctx, v.Topic, v.Partition, api.OffsetSpec_LATEST)
	if err != nil {
		return 0, err
	}
	to := start
	switch f.what {
	case "to-latest":
		to = end
	case "to-offset":
		to = f.toOffset
	case "to-time":
		if to, _, _, err = cl.OffsetAtTime(ctx, v.Topic, v.Partition, f.at); err != nil {
			return 0, err
		}
	case "shift-by":
		if v.From == nil {
			return 0, fmt.Errorf("group has committed nothing in %s partition %d, so there is nothing to shift; use another target for it", v.Topic, v.Partition)
		}
		to = shifted(*v.From, f.shiftBy)
	}
	return min(max(to, start), end), nil
}

// shifted is an offset so many records further on, or the last that there can be.
func shifted(from, by int64) int64 { return from + min(by, math.MaxInt64-from) }
