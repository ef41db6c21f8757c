package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

const (
	// maxLine bounds a record that is read from standard input, in bytes.
	maxLine = 512 << 10
	// maxUnderWay bounds the records from standard input that wait for their
	// acknowledgement.
	maxUnderWay = 4096
)

type produceFlags struct {
	connection
	topic, key, acks, compression string
	partition                     int32
}

func newProduce() *cobra.Command {
	var f produceFlags
	cmd := &cobra.Command{
		Use:   "produce --topic T [VALUE]",
		Short: "Append records: one value, or the lines of standard input",
		Long: `Append one record, or one for each line of standard input. With acks=all, the
default, each is synced on a majority before the command says so; with acks=none
the outcome is not known.`,
		Example: `  reprise produce --topic orders --bootstrap 127.0.0.1:9001 hello
  seq 1000 | reprise produce --topic orders --bootstrap 127.0.0.1:9001`,
		Args: cli.Arguments(0, 1, "at most one value"),
		RunE: func(cmd *cobra.Command, args []string) error {
			mode, compression, err := f.check()
			if err != nil {
				return err
			}
			return f.with(cmd.Context(), compression, func(cl *client.Client) error {
				p := producer{produceFlags: f, client: cl, mode: mode}
				if len(args) == 1 {
					return p.one(cmd.Context(), args[0], cmd.OutOrStdout())
				}
				return p.lines(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
			})
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "name of the topic")
	flags.Int32Var(&f.partition, "partition", client.AnyPartition, "number of the partition (-1: by the key, or any)")
	flags.StringVar(&f.key, "key", "", "key of the records")
	flags.StringVar(&f.acks, "acks", "all", "all, or none: do not wait and never know")
	flags.StringVar(&f.compression, "compression", "none", "none, gzip or zstd")
	return cmd
}

func (f *produceFlags) check() (client.Mode, batch.Compression, error) {
	modes := map[string]client.Mode{"all": client.Idempotent, "none": client.Unacknowledged}
	mode, ok := modes[f.acks]
	if !ok {
		return 0, 0, cli.Usagef("--acks %q is neither all nor none", f.acks)
	}
	if f.topic == "" {
		return 0, 0, cli.Usagef("produce needs --topic")
	}
	for _, c := range []batch.Compression{batch.None, batch.Gzip, batch.Zstd} {
		if c.String() == f.compression {
			return mode, c, nil
		}
	}
	return 0, 0, cli.Usagef("--compression %q is none of none, gzip, zstd", f.compression)
}

type producer struct {
	produceFlags
	client *client.Client
	mode   client.Mode
}

func (p *producer) record(value []byte) client.Record {
	r := client.Record{Value: value}
	if p.key != "" {
		r.Key = []byte(p.key)
	}
	return r
}

func (p *producer) one(ctx context.Context, value string, out io.Writer) error {
	offset, err := p.client.ProduceMode(ctx, p.mode, p.topic, p.partition, p.record([]byte(value)))
	if err != nil {
		return err
	}
	if p.mode == client.Idempotent {
		fmt.Fprintf(out, "offset %d\n", offset)
	}
	return nil
}

// lines produces each line without waiting for the one before; they stay in order.
func (p *producer) lines(ctx context.Context, in io.Reader, out io.Writer) error {
	underWay := make(chan *client.Produced, maxUnderWay)
	var acked, failed int
	var first error
	var wg sync.WaitGroup
	wg.Go(func() {
		for produced := range underWay {
			if _, err := produced.Wait(ctx); err != nil {
				if failed++; first == nil {
					first = err
				}
				continue
			}
			acked++
		}
	})
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() && ctx.Err() == nil {
		value := append([]byte(nil), scanner.Bytes()...)
		underWay <- p.client.ProduceAsync(ctx, p.mode, p.topic, p.partition, p.record(value))
	}
	close(underWay)
	wg.Wait()
	if p.mode == client.Idempotent {
		fmt.Fprintf(out, "%d records acknowledged\n", acked)
	} else {
		fmt.Fprintf(out, "%d records sent\n", acked)
	}
	if failed > 0 {
		return fmt.Errorf("%d records were not acknowledged, the first: %w", failed, first)
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read standard input: %w (a record is a line of at most %d bytes)", err, maxLine)
	}
	return ctx.Err()
}
