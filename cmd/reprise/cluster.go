package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// lookEvery is how often a command that waits for the cluster looks.
const lookEvery = 100 * time.Millisecond

func newCluster() *cobra.Command {
	return cli.Group("cluster", "Show and change the nodes, leaders and replicas",
		newStatus(), newElect(), newMove(), newDrain(), newRemove())
}

// target is the flags that name a partition.
type target struct {
	connection
	topic     string
	partition int32
}

func (t *target) register(cmd *cobra.Command) {
	t.connection.register(cmd)
	cmd.Flags().StringVar(&t.topic, "topic", "", "name of the topic")
	cmd.Flags().Int32Var(&t.partition, "partition", 0, "number of the partition")
}

func newElect() *cobra.Command {
	var t target
	var node uint64
	var meta, nobody bool
	cmd := &cobra.Command{
		Use:   "elect (--topic T --partition P | --meta) (--node N | --nobody)",
		Short: "Make a node the leader of a partition, or of the meta group, and wait until it is",
		Long: `Make a node the leader of a partition, or of the meta group, and wait until it is.
It leads from then on whenever it is there, caught up and has room, however many
partitions the others lead, until another node is elected, or it gives its replica up.
With --nobody, who leads is the cluster's affair again, which evens out what nodes lead.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nobody == (node != 0) || meta == (t.topic != "") || meta == cmd.Flags().Changed("partition") {
				return cli.Usagef("elect needs either --node or --nobody, and either --topic with --partition or --meta")
			}
			return t.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
				defer cancel()
				if err := cl.ElectLeader(ctx, t.topic, t.partition, node); err != nil {
					return t.elected(node, err)
				}
				if nobody {
					return nil
				}
				return t.wait(ctx, cl, fmt.Sprintf("node %d is elected, and does not lead yet: it may be away, behind or out of room", node), func(m *api.MetadataResponse, p *api.PartitionInfo) bool {
					return meta && m.MetaLeader == node || p != nil && p.Leader == node
				})
			})
		},
	}
	t.register(cmd)
	cmd.Flags().Uint64Var(&node, "node", 0, "the node that is to lead")
	cmd.Flags().BoolVar(&nobody, "nobody", false, "undo an election: nobody in particular is to lead")
	cmd.Flags().BoolVar(&meta, "meta", false, "the leader of the meta group, not of a partition")
	return cmd
}

// elected says what was asked for in an error of ElectLeader, which only knows partitions.
func (t *target) elected(node uint64, err error) error {
	var failed *client.Error
	if t.topic != "" || !errors.As(err, &failed) {
		return err
	}
	ofMeta := *failed
	ofMeta.Op = fmt.Sprintf("elect node %d leader of the meta group", node)
	if node == 0 {
		ofMeta.Op = "elect nobody leader of the meta group"
	}
	return &ofMeta
}

func newMove() *cobra.Command {
	var t target
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "move --topic T --partition P [--from N] [--to N]",
		Short: "Move a replica of a partition from one node to another, and wait until it has",
		Long: `Move a replica of a partition from one node to another. Without --from a replica
is only added, without --to only removed. The new replica catches up before it
votes; the move goes on if this command is stopped.

With one node for both its replica is renewed: it gets the whole log from the others.
A node does that by itself when its disk has lost a log.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.topic == "" || !cmd.Flags().Changed("partition") || from == 0 && to == 0 {
				return cli.Usagef("move needs --topic, --partition, and --from, --to or both")
			}
			return t.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
				defer cancel()
				if err := cl.MoveReplica(ctx, t.topic, t.partition, from, to); err != nil {
					return err
				}
				return t.wait(ctx, cl, "the move goes on", func(_ *api.MetadataResponse, p *api.PartitionInfo) bool { return settled(p) })
			})
		},
	}
	t.register(cmd)
	cmd.Flags().Uint64Var(&from, "from", 0, "the node that gives its replica up")
	cmd.Flags().Uint64Var(&to, "to", 0, "the node that gets one")
	return cmd
}

func settled(p *api.PartitionInfo) bool {
	for _, r := range p.GetReplicas() {
		if r.Adding || r.Removing {
			return false
		}
	}
	return p != nil
}

// wait looks at the cluster until it is as wanted, the time is up, or looking is in vain. late
// says how things stand then.
func (t *target) wait(ctx context.Context, cl *client.Client, late string, done func(*api.MetadataResponse, *api.PartitionInfo) bool) error {
	var topics []string
	if t.topic != "" {
		topics = append(topics, t.topic)
	}
	for {
		m, err := cl.Metadata(ctx, topics...)
		if err == nil && done(m, t.find(m)) {
			return nil
		}
		if lasting(err) {
			return fmt.Errorf("it was asked for, and whether it is done cannot be seen: %w", err)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("this command was stopped: %s; see cluster status", late)
			}
			return fmt.Errorf("after %v %s; see cluster status", t.timeout, late)
		case <-time.After(lookEvery):
		}
	}
}

// lasting reports whether an error comes again however often one asks.
func lasting(err error) bool {
	var failed *client.Error
	return errors.As(err, &failed) && !failed.Code.Retriable()
}

// find gives the partition in a metadata answer, nil if it is not there.
func (t *target) find(m *api.MetadataResponse) *api.PartitionInfo {
	if t.topic == "" || len(m.Topics) != 1 || t.partition < 0 || int(t.partition) >= len(m.Topics[0].Partitions) {
		return nil
	}
	return m.Topics[0].Partitions[t.partition]
}

func newRemove() *cobra.Command {
	var c connection
	var node uint64
	cmd := &cobra.Command{
		Use:   "remove --node N",
		Short: "Remove a node that holds no replicas, and wait until it is out",
		Long: `Remove a node from the cluster, be it alive or dead. It is refused while the node
holds replicas: drain it first. Its vote in the meta group goes before it does.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node == 0 {
				return cli.Usagef("remove needs --node")
			}
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout)
				defer cancel()
				if err := cl.RemoveNode(ctx, node); err != nil {
					return err
				}
				t := target{connection: c}
				return t.wait(ctx, cl, fmt.Sprintf("node %d is still on its way out", node), func(m *api.MetadataResponse, _ *api.PartitionInfo) bool {
					return !hasNode(m, node)
				})
			})
		},
	}
	c.register(cmd)
	cmd.Flags().Uint64Var(&node, "node", 0, "the node to remove")
	return cmd
}

func hasNode(m *api.MetadataResponse, id uint64) bool {
	for _, n := range m.Nodes {
		if n.Id == id {
			return true
		}
	}
	return false
}
