package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// liveLine is a line that is written over as things go on. On what is no terminal
// it is a line now and then.
type liveLine struct {
	w     io.Writer
	live  bool
	shown time.Time
}

// How often a live line is written at most: over the last one, and else.
const (
	livePause  = 200 * time.Millisecond
	plainPause = 10 * time.Second
)

func newLiveLine(w io.Writer) *liveLine {
	l := &liveLine{w: w}
	if file, ok := w.(*os.File); ok {
		info, err := file.Stat()
		l.live = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return l
}

// show writes the line, unless it just did.
func (l *liveLine) show(text func() string) {
	pause := plainPause
	if l.live {
		pause = livePause
	}
	if time.Since(l.shown) < pause {
		return
	}
	l.shown = time.Now()
	l.clear()
	fmt.Fprint(l.w, text())
	if !l.live {
		fmt.Fprintln(l.w)
	}
}

// clear takes the line away, so that something else can be written.
func (l *liveLine) clear() {
	if l.live {
		fmt.Fprint(l.w, "\r\033[K")
	}
}
