package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newProducer() *cobra.Command {
	return cli.Group("producer", "Describe the producers of a partition", newProducerDescribe())
}

// producersView is a partition's producers as 'producer describe' shows them. Its JSON is
// for scripts.
type producersView struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Known is how many the partition knows; Producers are the latest used of them.
	Known     int            `json:"known"`
	Producers []producerView `json:"producers"`
}

type producerView struct {
	Producer     int64 `json:"producer"`
	Epoch        int32 `json:"epoch"`
	LastSequence int32 `json:"last_sequence"`
	LastOffset   int64 `json:"last_offset"`
	IdleMS       int64 `json:"idle_ms"`
}

func newProducerDescribe() *cobra.Command {
	var c connection
	var topic string
	var partition, most int32
	var asJSON bool
	cmd := &cobra.Command{
		Use: "describe --topic T --partition P", Short: "Show which idempotent producers a partition knows, the latest used first",
		Long: `Show which idempotent producers a partition knows, the latest used first: the epoch of
each, and the sequence and the offset of its last record.

How long one has been idle is counted by the partition's log, of whose rest between two
entries a minute counts at most; after a day a producer is forgotten.`,
		Example: `  reprise producer describe --topic orders --partition 0 --bootstrap 127.0.0.1:9001`,
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if topic == "" || !cmd.Flags().Changed("partition") {
				return cli.Usagef("producer describe needs --topic and --partition")
			}
			if most < 1 {
				return cli.Usagef("--max %d: it must be 1 at least", most)
			}
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				list, known, err := cl.DescribeProducers(cmd.Context(), topic, partition, most)
				if err != nil {
					return err
				}
				v := producersView{Topic: topic, Partition: partition, Known: known, Producers: []producerView{}}
				for _, p := range list {
					v.Producers = append(v.Producers, producerView{p.ProducerId, p.Epoch, p.LastSequence, p.LastOffset, p.IdleMs})
				}
				return show(cmd.OutOrStdout(), asJSON, v, v.table)
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	flags := cmd.Flags()
	flags.StringVar(&topic, "topic", "", "name of the topic")
	flags.Int32Var(&partition, "partition", 0, "number of the partition")
	flags.Int32Var(&most, "max", 1000, "show so many at most, up to 10000")
	return cmd
}

// table prints the producers for people.
func (v *producersView) table(out io.Writer) error {
	table := newTable(out, "PRODUCER", "EPOCH", "LAST SEQUENCE", "LAST OFFSET", "IDLE")
	for _, p := range v.Producers {
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%v\n", p.Producer, p.Epoch, p.LastSequence, p.LastOffset, time.Duration(p.IdleMS)*time.Millisecond)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := v.Known - len(v.Producers); more > 0 {
		fmt.Fprintf(out, "and %d more, which were used before these\n", more)
	}
	return nil
}
