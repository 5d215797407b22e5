package kafka

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// A panicError is a panic of user code: what it was and where, in one line. Printed with %+v it has the stack behind it.
type panicError struct {
	value string
	where string // "" where that is not known
	stack []byte
}

// panicked makes the error of a panic; it is called by the function that has recovered from it.
func panicked(v any) error {
	value := strings.Join(strings.FieldsFunc(fmt.Sprint(v), func(r rune) bool { return r == '\n' || r == '\r' }), " ")
	return &panicError{value: value, where: panickedAt(), stack: debug.Stack()}
}

func (e *panicError) Error() string {
	if e.where == "" {
		return "panic: " + e.value
	}
	return "panic: " + e.value + ", in " + e.where
}

// Format prints the stack, too, for %+v.
func (e *panicError) Format(s fmt.State, verb rune) {
	if verb == 'q' {
		_, _ = fmt.Fprintf(s, "%q", e.Error())
		return
	}
	_, _ = io.WriteString(s, e.Error())
	if verb == 'v' && s.Flag('+') {
		_, _ = fmt.Fprintf(s, "\n%s", e.stack)
	}
}

// panickedAt finds the function that has panicked: the first behind the runtime's own.
func panickedAt() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for began := false; ; {
		f, more := frames.Next()
		switch own := strings.HasPrefix(f.Function, "runtime."); {
		case began && !own && f.Function != "":
			return fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line)
		case f.Function == "runtime.gopanic":
			began = true
		}
		if !more {
			return ""
		}
	}
}
