package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

type consumeFlags struct {
	connection
	topic, group, from, fromTime, format string
	partition                            int32
	max                                  int64
}

func newConsume() *cobra.Command {
	var f consumeFlags
	cmd := &cobra.Command{
		Use:   "consume --topic T",
		Short: "Print records as they come",
		Long: `Print the records of a topic, or of one of its partitions, until --max of them
were printed or the command is stopped. Within a partition they come in order.

--from-time begins, in each partition, with the first record whose time stamp is not
before a time: 2026-01-31T15:04:05Z, milliseconds since 1970, or a time ago such as
90m. Time stamps are the producers' own; records after that one may have earlier ones.

--group reads as a member of a consumer group: the group's members share the topic's
partitions, and go on where the group has committed, which is said on standard error.
--from then says where to begin where nothing is committed.

--format is a text in which %v is a record's value, %k its key, %o its offset, %p
its partition, %t the topic, %T its time in milliseconds, %% a percent sign and
\n, \t what they usually are; or json, which prints one object a line. There, what is not
UTF-8 is in key_base64 and value_base64, with key and value null, and time is null beside
time_ms outside the years 0 to 9999.`,
		Example: `  reprise consume --topic orders --from earliest --bootstrap 127.0.0.1:9001
  reprise consume --topic orders --format '%p/%o %k=%v\n' --bootstrap 127.0.0.1:9001`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("group") {
				reset, err := f.checkGroup(cmd.Flags().Changed)
				if err != nil {
					return err
				}
				return f.with(cmd.Context(), batch.None, func(cl *client.Client) error {
					return f.consumeGroup(cmd.Context(), cl, reset, cmd.OutOrStdout(), cmd.ErrOrStderr())
				})
			}
			from, err := f.check(cmd.Flags().Changed("from"))
			if err != nil {
				return err
			}
			return f.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return f.consume(cmd.Context(), cl, from, cmd.OutOrStdout())
			})
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.topic, "topic", "", "name of the topic")
	flags.StringVar(&f.group, "group", "", "read as a member of this consumer group")
	flags.Int32Var(&f.partition, "partition", -1, "number of the partition (-1: all)")
	flags.StringVar(&f.from, "from", "latest", "where to begin: earliest, latest, or an offset")
	flags.StringVar(&f.fromTime, "from-time", "", "begin at a time: RFC 3339, milliseconds since 1970, or a duration ago")
	flags.Int64Var(&f.max, "max", 0, "stop after so many records (0: never)")
	flags.StringVar(&f.format, "format", `%v\n`, "how to print a record, or json")
	return cmd
}

// check gives where to begin: an offset of every partition, Earliest or Latest, or a
// time.
func (f *consumeFlags) check(fromGiven bool) (start, error) {
	if f.topic == "" {
		return start{}, cli.Usagef("consume needs --topic")
	}
	if f.max < 0 {
		return start{}, cli.Usagef("--max %d: it must not be negative", f.max)
	}
	if f.fromTime != "" {
		if fromGiven {
			return start{}, cli.Usagef("--from and --from-time both say where to begin; give one")
		}
		at, err := parseTime("from-time", f.fromTime, time.Now())
		return start{time: at, byTime: true}, err
	}
	switch f.from {
	case "earliest":
		return start{offset: client.Earliest}, nil
	case "latest":
		return start{offset: client.Latest}, nil
	}
	from, err := strconv.ParseInt(f.from, 10, 64)
	if err != nil || from < 0 {
		return start{}, cli.Usagef("--from %q is none of earliest, latest, or an offset from 0", f.from)
	}
	return start{offset: from}, nil
}

// start is where to begin in each partition.
type start struct {
	offset int64
	// time in milliseconds since 1970, if byTime.
	time   int64
	byTime bool
}

// parseTime reads the time that a flag gives: as RFC 3339 has it, milliseconds, or how long ago.
func parseTime(flag, text string, now time.Time) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d).UnixMilli(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, cli.Usagef("--%s %q is no time; give one like 2026-01-31T15:04:05Z, milliseconds since 1970, or a duration ago like 90m", flag, text)
	}
	return t.UnixMilli(), nil
}

// in gives the offset at which to begin in a partition.
func (s start) in(ctx context.Context, cl *client.Client, topic string, partition int32) (int64, error) {
	if !s.byTime {
		return s.offset, nil
	}
	offset, _, _, err := cl.OffsetAtTime(ctx, topic, partition, s.time)
	return offset, err
}

// consume reads the partitions side by side until enough was printed.
func (f *consumeFlags) consume(ctx context.Context, cl *client.Client, from start, out io.Writer) error {
	partitions := []int32{f.partition}
	if f.partition < 0 {
		m, err := cl.Metadata(ctx, f.topic)
		if err != nil {
			return err
		}
		partitions = nil
		for _, p := range m.Topics[0].Partitions {
			partitions = append(partitions, p.Partition)
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &printer{out: bufio.NewWriter(out), format: f.format, topic: f.topic, left: f.max, limited: f.max > 0, stop: stop}
	var wg sync.WaitGroup
	for _, partition := range partitions {
		wg.Go(func() {
			offset, err := from.in(ctx, cl, f.topic, partition)
			if err == nil {
				err = p.follow(ctx, cl.Consume(f.topic, partition, offset), partition)
			}
			if err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, p.out.Flush())
}

// errEnough ends a consume that has printed what was asked for.
var errEnough = errors.New("enough")

// printer prints the records of all partitions, one at a time.
type printer struct {
	mu      sync.Mutex
	out     *bufio.Writer
	format  string
	topic   string
	left    int64
	limited bool
	stop    context.CancelCauseFunc
}

func (p *printer) follow(ctx context.Context, consumer *client.Consumer, partition int32) error {
	for {
		m, err := consumer.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.print(m, partition); err != nil {
			return err
		}
	}
}

func (p *printer) print(m client.Message, partition int32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limited && p.left == 0 {
		return nil
	}
	if p.format == "json" {
		if err := json.NewEncoder(p.out).Encode(viewRecord(p.topic, m, partition)); err != nil {
			return err
		}
	} else {
		p.expand(m, partition)
	}
	if err := p.out.Flush(); err != nil {
		return err
	}
	if p.left--; p.limited && p.left == 0 {
		p.stop(errEnough)
	}
	return nil
}

// recordView is a record as JSON. Bytes that are not UTF-8, which JSON cannot have, stand in
// the field for base64, and the one for text is null, as it is for a null.
type recordView struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Time is null where RFC 3339 has no word for it: outside the years 0 to 9999.
	Time        *time.Time   `json:"time"`
	TimeMS      int64        `json:"time_ms"`
	Key         *string      `json:"key"`
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Headers     []headerView `json:"headers,omitempty"`
}

type headerView struct {
	Key         *string `json:"key"`
	KeyBase64   []byte  `json:"key_base64,omitempty"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func viewRecord(topic string, m client.Message, partition int32) recordView {
	v := recordView{Topic: topic, Partition: partition, Offset: int64(m.Offset), TimeMS: int64(m.Timestamp)}
	if at := time.UnixMilli(v.TimeMS).UTC(); at.Year() >= 0 && at.Year() <= 9999 {
		v.Time = &at
	}
	v.Key, v.KeyBase64 = text(m.Key)
	v.Value, v.ValueBase64 = text(m.Value)
	for _, h := range m.Headers {
		var view headerView
		view.Key, view.KeyBase64 = text([]byte(h.Key))
		view.Value, view.ValueBase64 = text(h.Value)
		v.Headers = append(v.Headers, view)
	}
	return v
}

// text gives bytes as text, nil for a null, or as they are if they are none.
func text(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	s := string(b)
	return &s, nil
}

func (p *printer) expand(m client.Message, partition int32) {
	for rest := p.format; rest != ""; {
		at := strings.IndexAny(rest, `%\`)
		if at < 0 || at == len(rest)-1 {
			p.out.WriteString(rest)
			return
		}
		p.out.WriteString(rest[:at])
		switch rest[at : at+2] {
		case "%v":
			p.out.Write(m.Value)
		case "%k":
			p.out.Write(m.Key)
		case "%o":
			fmt.Fprint(p.out, m.Offset)
		case "%p":
			fmt.Fprint(p.out, partition)
		case "%t":
			p.out.WriteString(p.topic)
		case "%T":
			fmt.Fprint(p.out, int64(m.Timestamp))
		case "%%":
			p.out.WriteByte('%')
		case `\n`:
			p.out.WriteByte('\n')
		case `\t`:
			p.out.WriteByte('\t')
		default:
			p.out.WriteString(rest[at : at+2])
		}
		rest = rest[at+2:]
	}
}
