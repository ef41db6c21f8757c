package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newTopic() *cobra.Command {
	return cli.Group("topic", "Create, list, describe and delete topics",
		newTopicCreate(), newTopicList(), newTopicDescribe(), newTopicDelete(), newDeleteRecords())
}

func newTopicCreate() *cobra.Command {
	var c connection
	var options client.TopicOptions
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a topic", Args: cli.Arguments(1, 1, "the name of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return cl.CreateTopic(cmd.Context(), args[0], options)
			})
		},
	}
	c.register(cmd)
	cmd.Flags().Int32Var(&options.Partitions, "partitions", 1, "number of partitions")
	cmd.Flags().Int32Var(&options.Replicas, "replicas", 0, "replicas of each partition (0: three, or one on each node where there are fewer)")
	cmd.Flags().Uint64Var(&options.SegmentBytes, "segment-bytes", 0, "size at which segments roll (0: the cluster's default)")
	return cmd
}

func newTopicList() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use: "list", Short: "List the topics", Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				m, err := cl.Metadata(cmd.Context())
				if err != nil {
					return err
				}
				table := newTable(cmd.OutOrStdout(), "TOPIC", "PARTITIONS", "REPLICAS")
				for _, t := range m.Topics {
					fmt.Fprintf(table, "%s\t%d\t%d\n", t.Name, len(t.Partitions), len(t.Partitions[0].Replicas))
				}
				return table.Flush()
			})
		},
	}
	c.register(cmd)
	return cmd
}

func newTopicDescribe() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use: "describe NAME", Short: "Show a topic's partitions, their leaders, replicas and offsets",
		Args: cli.Arguments(1, 1, "the name of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return describeTopic(cmd.Context(), cl, args[0], cmd.OutOrStdout())
			})
		},
	}
	c.register(cmd)
	return cmd
}

func describeTopic(ctx context.Context, cl *client.Client, name string, out io.Writer) error {
	m, err := cl.Metadata(ctx, name)
	if err != nil {
		return err
	}
	t := m.Topics[0]
	fmt.Fprintf(out, "topic %s, id %d, segments of %d bytes\n", t.Name, t.Id, t.SegmentBytes)
	table := newTable(out, "PARTITION", "LEADER", "REPLICAS", "START", "END")
	for _, p := range t.Partitions {
		start, err := cl.ListOffsets(ctx, name, p.Partition, api.OffsetSpec_EARLIEST)
		if err != nil {
			return err
		}
		end, err := cl.ListOffsets(ctx, name, p.Partition, api.OffsetSpec_LATEST)
		if err != nil {
			return err
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%d\t%d\n", p.Partition, leaderName(p.Leader), replicaNames(p), start, end)
	}
	return table.Flush()
}

func newTopicDelete() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a topic with all its records", Args: cli.Arguments(1, 1, "the name of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return cl.DeleteTopic(cmd.Context(), args[0])
			})
		},
	}
	c.register(cmd)
	return cmd
}

func newDeleteRecords() *cobra.Command {
	var c connection
	var topic string
	var partition int32
	var before int64
	cmd := &cobra.Command{
		Use:   "delete-records --topic T --partition P --before OFFSET",
		Short: "Delete the records of a partition below an offset",
		Args:  cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"topic", "partition", "before"} {
				if !cmd.Flags().Changed(name) {
					return cli.Usagef("delete-records needs --topic, --partition and --before")
				}
			}
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				start, err := cl.DeleteRecords(cmd.Context(), topic, partition, before)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "log start %d\n", start)
				}
				return err
			})
		},
	}
	c.register(cmd)
	cmd.Flags().StringVar(&topic, "topic", "", "name of the topic")
	cmd.Flags().Int32Var(&partition, "partition", 0, "number of the partition")
	cmd.Flags().Int64Var(&before, "before", 0, "first offset to keep; -1 deletes all that are there now")
	return cmd
}

// newTable aligns columns under a heading.
func newTable(out io.Writer, heading ...string) *tabwriter.Writer {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(heading, "\t"))
	return table
}

func leaderName(node uint64) string {
	if node == 0 {
		return "none"
	}
	return fmt.Sprint(node)
}

// replicaNames lists the nodes, with + on those being added and - on those being
// removed.
func replicaNames(p *api.PartitionInfo) string {
	var names []string
	for _, r := range slices.SortedFunc(slices.Values(p.Replicas), func(a, b *api.ReplicaInfo) int { return cmp.Compare(a.Node, b.Node) }) {
		name := fmt.Sprint(r.Node)
		if r.Adding {
			name = "+" + name
		}
		if r.Removing {
			name = "-" + name
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}
