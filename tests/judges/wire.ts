// Types of what goes over the wire, from those of the SDKs.
import type Anthropic from "@anthropic-ai/sdk";
import type {
  Content, GenerationConfig, SafetySetting, Tool, ToolConfig,
} from "@google/genai";
import type { ChatCompletionRequest$Outbound } from "@mistralai/mistralai/models/components";

// An enum of an SDK is a word on the wire, and an int64, which it tells as a string, may be a number
// there: proto3's JSON takes both. The reference writes thinking levels in small letters, too.
type Int64s = "maxItems" | "minItems" | "maxLength" | "minLength" | "maxProperties" | "minProperties";
export type Wire<T> = unknown extends T ? T
  : T extends string ? `${T}`
  : T extends (infer U)[] ? Wire<U>[]
  : T extends object ? { [K in keyof T]: K extends Int64s ? string | number
      : K extends "thinkingLevel" ? Wire<T[K]> | Lowercase<Wire<T[K]> & string>
      : Wire<T[K]> }
  : T;

export type GoogleRequest = {
  contents: Wire<Content>[];
  systemInstruction?: Wire<Content>;
  tools?: Wire<Tool>[];
  toolConfig?: Wire<ToolConfig>;
  safetySettings?: Wire<SafetySetting>[];
  generationConfig?: Wire<GenerationConfig>;
  cachedContent?: string;
  labels?: Record<string, string>;
};
// The SDK has dropped what its newest models do not take; older ones take it still.
type Sampling = { temperature?: number; top_p?: number; top_k?: number };
export type AnthropicRequest = Anthropic.Messages.MessageCreateParams & Sampling;
export type AnthropicBetaRequest = Anthropic.Beta.Messages.MessageCreateParams & Sampling;

// What the SDK writes has its defaults filled in; who leaves them out means them.
// Sound as an object is OpenAI's way, which the API takes as well (recorded).
type Sound = { data: string; format: string };
type Defaulted = "stream" | "index" | "strict" | "closed" | "prefix";
export type Filled<T> = unknown extends T ? T
  : T extends (infer U)[] ? Filled<U>[]
  : T extends object ? { [K in keyof T as K extends Defaulted ? never : K]:
        Filled<T[K]> | (K extends "input_audio" ? Sound : never) } &
      { [K in keyof T as K extends Defaulted ? K : never]?: Filled<T[K]> }
  : T;
export type MistralRequest = Filled<ChatCompletionRequest$Outbound>;
