package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

type drainFlags struct {
	connection
	node     uint64
	to       []string
	parallel int
	dryRun   bool
}

func newDrain() *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain --node N [--to N,...] [--dry-run]",
		Short: "Move all replicas of a node to others, and wait until they have",
		Long: `Move all replicas of a node, be it alive or dead, to others: each to a node that answers, has
none of its partition, and by then the fewest in all. Then 'cluster remove' can remove the node.
What has begun goes on if this command is stopped; started again, it goes on with the rest.

--timeout bounds the whole drain.`,
		Example: `  reprise cluster drain --node 2 --dry-run --bootstrap 127.0.0.1:9001
  reprise cluster drain --node 2 --timeout 1h --bootstrap 127.0.0.1:9001 &&
    reprise cluster remove --node 2 --bootstrap 127.0.0.1:9001`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.connection.register(cmd)
	flags := cmd.Flags()
	flags.Uint64Var(&f.node, "node", 0, "the node that gives its replicas up")
	flags.StringSliceVar(&f.to, "to", nil, "the nodes that may get them (default: all others that answer)")
	flags.IntVar(&f.parallel, "parallel", 2, "how many replicas move at the same time: each copies its whole log")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print where each replica would go, and move none")
	return cmd
}

func (f *drainFlags) run(cmd *cobra.Command) error {
	if f.node == 0 {
		return cli.Usagef("drain needs --node")
	}
	if f.parallel < 1 {
		return cli.Usagef("--parallel %d: at least 1 replica moves at a time", f.parallel)
	}
	d := client.Drain{Parallel: f.parallel, Progress: func(left int) {
		fmt.Fprintf(cmd.OutOrStdout(), "node %d has %d replicas left\n", f.node, left)
	}}
	for _, text := range f.to {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return cli.Usagef("--to %q is no node's number", text)
		}
		d.To = append(d.To, id)
	}
	return f.with(cmd.Context(), batch.None, func(cl *client.Client) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		if !f.dryRun {
			return cl.Drain(ctx, f.node, d)
		}
		moves, err := cl.PlanDrain(ctx, f.node, d)
		if err != nil {
			return err
		}
		table := newTable(cmd.OutOrStdout(), "PARTITION", "FROM", "TO")
		for _, m := range moves {
			fmt.Fprintf(table, "%s/%d\t%d\t%d\n", m.Topic, m.Partition, m.From, m.To)
		}
		return table.Flush()
	})
}
