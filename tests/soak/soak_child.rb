# frozen_string_literal: true

# What the children and the echoing tasks of soak.rb do.
module SoakChild
  CLOSED = [EOFError, SystemCallError, Gipc::Error].freeze

  module_function

  # Answers each message, until the end, or until "close".
  def echo(handle)
    while (message = handle.get) != "close"
      writer = message == "moves" && handle.take_handles(codec: :raw).first
      next handle << message unless writer

      writer << "moved"
      writer.close
    end
    handle.close
  rescue *CLOSED # from the other end, perhaps with messages that it had not got
    handle.abort unless handle.closed?
  end

  # Answers three messages, and ends.
  def answer_and_end(handle, how, number)
    3.times { handle << handle.get }
    case how
    when "exit" then exit(number)
    when "exit!" then exit!(number)
    when "signal" then Process.kill(:TERM, Process.pid) && sleep
    when "killed"
      handle << ("x" * (1 << 20)) # its reader kills instead of reading
      sleep
    end
  end
end
