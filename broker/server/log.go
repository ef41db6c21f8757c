package server

import (
	"context"
	"log/slog"

	"github.com/reprise-mq/reprise/broker/trace"
)

var levels = map[trace.Level]slog.Level{
	trace.Mark:  slog.LevelDebug,
	trace.Info:  slog.LevelInfo,
	trace.Warn:  slog.LevelWarn,
	trace.Fatal: slog.LevelError,
}

// logEvents writes a node's events as log lines, with what does not apply left out.
func logEvents(log *slog.Logger) trace.Sink {
	return func(e trace.Event) {
		level := levels[e.Level]
		if !log.Enabled(context.Background(), level) {
			return
		}
		var attrs []slog.Attr
		if e.Replica != 0 {
			attrs = append(attrs, slog.Uint64("group", uint64(e.Group)), slog.Uint64("replica", uint64(e.Replica)))
		}
		if e.Term != 0 {
			attrs = append(attrs, slog.Uint64("term", uint64(e.Term)))
		}
		if e.Index != 0 {
			attrs = append(attrs, slog.Uint64("index", uint64(e.Index)))
		}
		if e.File != "" {
			attrs = append(attrs, slog.String("file", e.File), slog.Int64("bytes", e.Bytes))
		}
		if e.Detail != "" {
			attrs = append(attrs, slog.String("detail", e.Detail))
		}
		log.LogAttrs(context.Background(), level, e.Name, attrs...)
	}
}
