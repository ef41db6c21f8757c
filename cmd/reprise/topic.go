package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newTopic() *cobra.Command {
	return cli.Group("topic", "Create, list, describe, alter and delete topics",
		newTopicCreate(), newTopicList(), newTopicDescribe(), newTopicConfig(), newAddPartitions(), newTopicDelete(), newDeleteRecords())
}

func newTopicCreate() *cobra.Command {
	var c connection
	var options client.TopicOptions
	var set []string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a topic", Args: cli.Arguments(1, 1, "the name of a topic"),
		Long:    "Create a topic.\n\n" + configHelp,
		Example: `  reprise topic create orders --partitions 4 --config retention.ms=604800000 --bootstrap 127.0.0.1:9001`,
		RunE: func(cmd *cobra.Command, args []string) error {
			byName, err := parseConfigs("config", set)
			if err != nil {
				return err
			}
			options.Configs = byName
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return cl.CreateTopic(cmd.Context(), args[0], options)
			})
		},
	}
	c.register(cmd)
	cmd.Flags().Int32Var(&options.Partitions, "partitions", 1, "number of partitions")
	cmd.Flags().Int32Var(&options.Replicas, "replicas", 0, "replicas of each partition (0: three, or one on each node where there are fewer)")
	cmd.Flags().Uint64Var(&options.SegmentBytes, "segment-bytes", 0, "size at which segments roll (0: the cluster's default); the same as --config segment.bytes=N")
	cmd.Flags().StringArrayVar(&set, "config", nil, "a config to set, as NAME=VALUE; may be given several times")
	return cmd
}

// topicView is a topic as 'topic list' and 'topic describe' show it. Its JSON is for
// scripts.
type topicView struct {
	Name         string `json:"name"`
	ID           uint64 `json:"id"`
	SegmentBytes uint64 `json:"segment_bytes"`
	// Configs are all there are, by name.
	Configs []configView `json:"configs"`
	// Partitions have offsets where they were asked for.
	Partitions []partitionView `json:"partitions"`
}

func viewTopic(t *api.TopicInfo) topicView {
	v := topicView{Name: t.Name, ID: t.Id, SegmentBytes: t.SegmentBytes, Configs: viewConfigs(t)}
	for _, p := range t.Partitions {
		v.Partitions = append(v.Partitions, viewPartition(t.Name, p, nil))
	}
	return v
}

func newTopicList() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the topics", Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				m, err := cl.Metadata(cmd.Context())
				if err != nil {
					return err
				}
				topics := []topicView{}
				for _, t := range m.Topics {
					topics = append(topics, viewTopic(t))
				}
				return show(cmd.OutOrStdout(), asJSON, topics, func(out io.Writer) error {
					table := newTable(out, "TOPIC", "PARTITIONS", "REPLICAS")
					for _, t := range topics {
						fmt.Fprintf(table, "%s\t%d\t%d\n", t.Name, len(t.Partitions), len(t.Partitions[0].Replicas))
					}
					return table.Flush()
				})
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	return cmd
}

func newTopicDescribe() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "describe NAME", Short: "Show a topic's partitions, their leaders, replicas and offsets",
		Args: cli.Arguments(1, 1, "the name of a topic"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				t, err := describeTopic(cmd.Context(), cl, args[0])
				if err != nil {
					return err
				}
				return show(cmd.OutOrStdout(), asJSON, t, t.table)
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	return cmd
}

// describeTopic asks for a topic, and for the ends of all its partitions at once: what is
// asked of one without a leader waits for one to come.
func describeTopic(ctx context.Context, cl *client.Client, name string) (*topicView, error) {
	m, err := cl.Metadata(ctx, name)
	if err != nil {
		return nil, err
	}
	t := viewTopic(m.Topics[0])
	errs := make([]error, len(t.Partitions))
	var wg sync.WaitGroup
	for i := range t.Partitions {
		wg.Go(func() { errs[i] = t.Partitions[i].ask(ctx, cl) })
	}
	wg.Wait()
	return &t, cmp.Or(errs...)
}

// ask asks for the ends of the partition. That nobody who leads it answers in time is no
// error: it is shown without a leader then.
func (p *partitionView) ask(ctx context.Context, cl *client.Client) error {
	start, err := cl.ListOffsets(ctx, p.Topic, p.Partition, api.OffsetSpec_EARLIEST)
	if err == nil {
		var end int64
		if end, err = cl.ListOffsets(ctx, p.Topic, p.Partition, api.OffsetSpec_LATEST); err == nil {
			p.Start, p.End = &start, &end
			return nil
		}
	}
	if lasting(err) || ctx.Err() != nil {
		return err
	}
	p.Leader = 0
	return nil
}

// table prints the topic for people.
func (t *topicView) table(out io.Writer) error {
	fmt.Fprintf(out, "topic %s, id %d, segments of %d bytes%s\n", t.Name, t.ID, t.SegmentBytes, t.setConfigs())
	table := newTable(out, "PARTITION", "LEADER", "REPLICAS", "START", "END")
	for _, p := range t.Partitions {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", p.Partition, leaderName(p.Leader), p.names(), known(p.Start), known(p.End))
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

// replicaName is a node, with + where its replica is being added, - where it is being
// removed, and * where it was elected leader.
func replicaName(node uint64, adding, removing, elected bool) string {
	name := fmt.Sprint(node)
	if elected {
		name += "*"
	}
	if adding {
		name = "+" + name
	}
	if removing {
		name = "-" + name
	}
	return name
}

func sortedReplicas(p *api.PartitionInfo) []*api.ReplicaInfo {
	return slices.SortedFunc(slices.Values(p.Replicas), func(a, b *api.ReplicaInfo) int { return cmp.Compare(a.Node, b.Node) })
}
