# frozen_string_literal: true

# What children of a template call.
module TemplateJobs
  class << self
    def tell(writer, *values)
      writer.put([Process.pid, Process.ppid, $PROGRAM_NAME != "", defined?(TemplateExtra), ENV.fetch("LD_PRELOAD", nil), rand, values])
    end

    def fails = raise(KeyError, "of the child")

    def exits(code) = exit(code)

    def aborts = Process.kill(:ABRT, Process.pid) && sleep

    def echo(duplex, writer)
      duplex.each { |object| duplex << object }
      writer << "end"
    end

    def shows
      print [Dir.pwd, ENV.fetch("A"), ENV.fetch("HOME", nil), $stdin.read].inspect
    end

    # Threads that share the processor need the interpreter's timer; a wait that a trap
    # interrupts needs what wakes its threads.
    def runs_threads_and_traps(writer)
      busy = true
      spinner = Thread.new { nil while busy }
      writer << 10.times.map { |i| Thread.new { i }.value }
      busy = false
      spinner.join
      trap(:TERM) do
        writer << "trapped"
        exit 5
      end
      writer << "ready"
      sleep
    end

    def holds(writer)
      writer << "held"
      sleep
    end
  end
end
