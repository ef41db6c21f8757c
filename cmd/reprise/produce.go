package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

const (
	// maxLine bounds a record that is read from standard input, in bytes: as much as a topic
	// can be told to take.
	maxLine = 8 << 20
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
the outcome is not known.

A line is a record as it stands: an empty one has an empty value, and a carriage return
before the newline is the record's. Lines are read until one fails, if it is not for its
size, or is longer than 8 MiB, or the command is stopped; it waits for those under way
then, and says how many were acknowledged.`,
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

// lines produces each line without waiting for the one before; they stay in order. It reads
// no more once ctx is done, or a record has failed in a way that the next ones would, and
// waits for what is under way, which ends within the client's timeout.
func (p *producer) lines(ctx context.Context, in io.Reader, out io.Writer) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	underWay := make(chan *client.Produced, maxUnderWay)
	var t tally
	var wg sync.WaitGroup
	wg.Go(func() {
		for produced := range underWay {
			_, err := produced.Wait(context.WithoutCancel(ctx))
			if t.count(err); hopeless(err) {
				stop()
			}
		}
	})
	var unreadable error
	for line := range readLines(reading, in) {
		if unreadable = line.err; unreadable == nil {
			underWay <- p.client.ProduceAsync(reading, p.mode, p.topic, p.partition, p.record(line.value))
		}
	}
	stopped := reading.Err() != nil
	close(underWay)
	wg.Wait()
	if p.mode == client.Idempotent {
		fmt.Fprintf(out, "%d records acknowledged\n", t.acked)
	} else {
		fmt.Fprintf(out, "%d records sent\n", t.acked)
	}
	switch {
	case t.failed > 0 && stopped:
		return fmt.Errorf("%d of %d records were not acknowledged, and no more were sent; the first: %w", t.failed, t.acked+t.failed, t.first)
	case t.failed > 0:
		return fmt.Errorf("%d of %d records were not acknowledged, the first: %w", t.failed, t.acked+t.failed, t.first)
	case unreadable != nil:
		return fmt.Errorf("read standard input: %w (a record is a line of at most %d bytes); no more were sent", unreadable, maxLine)
	case stopped:
		return errors.New("stopped before the end of standard input; what else it has was not sent")
	}
	return nil
}

// tally is what became of records.
type tally struct {
	acked, failed int
	first         error // of those that failed
}

func (t *tally) count(err error) {
	switch {
	case err == nil:
		t.acked++
	case errors.Is(err, context.Canceled):
		// It was read when the command had stopped sending, and went nowhere.
	default:
		if t.failed++; t.first == nil {
			t.first = err
		}
	}
}

// hopeless reports whether a record failed for a reason that the next ones have too: all
// but its size.
func hopeless(err error) bool {
	return err != nil && !errors.Is(err, &client.Error{Code: api.Code_BATCH_TOO_LARGE})
}

// line is one of standard input, or why there are no more.
type line struct {
	value []byte
	err   error
}

// readLines gives the lines of in until they end or ctx does. They are read in a goroutine
// of their own, which is left behind if ctx ends first: nothing ends a read of a terminal.
func readLines(ctx context.Context, in io.Reader) iter.Seq[line] {
	lines := make(chan line)
	go scanLines(ctx, in, lines)
	return func(yield func(line) bool) {
		for {
			select {
			case l, more := <-lines:
				if !more || !yield(l) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func scanLines(ctx context.Context, in io.Reader, to chan<- line) {
	defer close(to)
	give := func(l line) {
		select {
		case to <- l:
		case <-ctx.Done():
		}
	}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine+2) // with the end of the line
	scanner.Split(splitLines)
	for ctx.Err() == nil && scanner.Scan() {
		give(line{value: bytes.Clone(scanner.Bytes())})
	}
	if err := scanner.Err(); err != nil {
		give(line{err: err})
	}
}

// splitLines is bufio.ScanLines, but for the carriage return at the end of a line, which stays:
// it is the record's.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if end := bytes.IndexByte(data, '\n'); end >= 0 {
		return end + 1, data[:end], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
